"use strict";
// Which file to ship: the rules of ofar_tf.shipping.selection and of ofar_tf.evaluation.pareto, for one cost at a time.

function candidates(files, precision) {
  return files.filter((file) => file.passed && (precision ? file.precision === precision : file.usual));
}

function within(files, { measure, precision, budget }) {
  // A cost that was not measured is undefined, and fits no budget.
  return candidates(files, precision).filter((file) => file.costs[measure.key] / budget <= 1);
}

function byAccuracy(a, b) {
  return b.choice - a.choice || a.costs.macs - b.costs.macs || a.costs.bytes - b.costs.bytes;
}

function bestOf(files, prefer) {
  const best = [...files].sort(byAccuracy)[0];
  if (prefer === "accuracy" || !best) return best;
  return files
    .filter((file) => file === best || file.choice >= best.choice - best.noise)
    .sort((a, b) => a.costs.bytes - b.costs.bytes || b.choice - a.choice || a.costs.macs - b.costs.macs)[0];
}

// The file to ship, and the one to ship if that one did not exist.
function bestTwo(files, state) {
  const fitting = within(files, state);
  const best = bestOf(fitting, state.prefer);
  return [best, bestOf(fitting.filter((file) => file !== best), state.prefer)];
}

// The cheapest file above the budget that is more accurate, by more than the noise, than any within it.
function nextStep(files, state) {
  const { measure, precision, prefer } = state;
  const best = within(files, state).sort(byAccuracy)[0];
  const reached = best ? best.choice + (prefer === "size" ? best.noise : 0) : -Infinity;
  return candidates(files, precision)
    .filter((file) => file.costs[measure.key] !== undefined && file.choice > reached)
    .sort((a, b) => a.costs[measure.key] - b.costs[measure.key] || b.choice - a.choice)[0];
}

// By rising cost, the files that are more accurate than the last one of the front by more than its noise.
function front(files, { measure, precision }) {
  const cost = (file) => file.costs[measure.key];
  const found = [];
  candidates(files, precision)
    .filter((file) => cost(file) !== undefined)
    .sort((a, b) => cost(a) - cost(b) || b.choice - a.choice)
    .forEach((file) => {
      const last = found.at(-1);
      const equal = last && cost(last) === cost(file) && last.choice === file.choice;
      if (!last || equal || file.choice > last.choice + last.noise) found.push(file);
    });
  return found;
}

// Three significant digits, never below the value: a budget that is shown so still admits the file it was made for.
function roundedUp(value) {
  const step = 10 ** (Math.floor(Math.log10(value)) - 2);
  return Number((Math.ceil(value / step) * step).toPrecision(3));
}

// The slider's stops lie evenly on a logarithmic scale from the cheapest file to the dearest; share is in 0..1.
function budgetAt(share, files, { measure, precision }) {
  const costs = candidates(files, precision)
    .map((file) => file.costs[measure.key])
    .filter((cost) => cost !== undefined);
  if (!costs.length) return NaN;
  const [least, most] = [Math.min(...costs), Math.max(...costs)];
  return roundedUp((least * (most / least) ** share) / measure.scale);
}
