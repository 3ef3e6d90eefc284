"use strict";
// Which file to ship: the rules of ofar_tf.shipping.selection and of ofar_tf.evaluation.pareto, for one cost at a time.

function candidates(files, precision) {
  return files.filter((file) => file.passed && (!precision || file.precision === precision));
}

// A cost that was not measured is undefined, and fits no budget.
function ranked(files, { measure, precision, budget }) {
  return candidates(files, precision)
    .filter((file) => file.costs[measure.key] / budget <= 1)
    .sort((a, b) => b.top1 - a.top1 || a.costs.macs - b.costs.macs || a.costs.bytes - b.costs.bytes);
}

// The cheapest file above the budget that is more accurate than any within it.
function nextStep(files, { measure, precision, budget }) {
  const reached = ranked(files, { measure, precision, budget })[0]?.top1 ?? -1;
  return candidates(files, precision)
    .filter((file) => file.costs[measure.key] !== undefined && file.top1 > reached)
    .sort((a, b) => a.costs[measure.key] - b.costs[measure.key] || b.top1 - a.top1)[0];
}

// The files that no other of these beats, by rising cost.
function front(files, { measure, precision }) {
  const costed = candidates(files, precision).filter((file) => file.costs[measure.key] !== undefined);
  const dominates = (a, b) => {
    const [costA, costB] = [a.costs[measure.key], b.costs[measure.key]];
    return costA <= costB && a.top1 >= b.top1 && (costA < costB || a.top1 > b.top1);
  };
  return costed
    .filter((file) => !costed.some((other) => dominates(other, file)))
    .sort((a, b) => a.costs[measure.key] - b.costs[measure.key]);
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
