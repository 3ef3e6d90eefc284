"use strict";
// Joins the controls, the plot and the table.

(() => {
  const element = (id) => document.getElementById(id);
  const { files, measures, metric } = JSON.parse(element("data").textContent);
  const [measureBox, precisionBox, preferBox, slider, budgetBox] = [
    ...["measure", "precision", "prefer", "slider", "budget"].map(element),
  ];
  const table = new FileTable(element("files"));
  const plot = new Plot(element("plot"), files, metric);
  const stops = Number(slider.max);

  const limits = () => {
    const measure = measures.find((each) => each.key === measureBox.value);
    const given = budgetBox.valueAsNumber * measure.scale;
    // Multiply-adds and bytes are whole numbers; only latency has a scale of 1.
    const budget = measure.scale > 1 ? Math.round(given) : given;
    return { measure, precision: precisionBox.value, prefer: preferBox.value, budget };
  };

  function describe(file, measure) {
    return `${file.path} (${scoreText(file.score, metric)}, ${inUnits(file.costs[measure.key], measure)})`;
  }

  function show() {
    const state = limits();
    const [chosen, runnerUp] = bestTwo(files, state);
    const next = nextStep(files, state);
    const budget = `${budgetBox.value} ${state.measure.unit}`;
    element("verdict").textContent = chosen ? `${why(state, chosen)} within ${budget}:` : whyNone(state, budget);
    name(chosen);
    element("runner-up").textContent = runnerUp ? `Runner-up: ${describe(runnerUp, state.measure)}` : "";
    element("next-step").textContent = next
      ? `${chosen ? "More accurate" : "Cheapest"}: ${describe(next, state.measure)}`
      : "";
    slider.setAttribute("aria-valuetext", chosen ? `${budget}: ${chosen.path}` : `${budget}: no file`);
    table.mark(files.indexOf(chosen));
    plot.draw({ ...state, chosen });
    element("plot-description").textContent = plot.description();
  }

  function why(state, chosen) {
    const best = within(files, state).sort(byAccuracy)[0];
    return best.choice > chosen.choice ? "The smallest file within the noise of the most accurate" : "The most accurate file";
  }

  function whyNone({ measure, precision }, budget) {
    const passed = candidates(files, precision);
    if (!passed.length) return `No ${precision} file passed its checks.`.replace("  ", " ");
    if (!passed.some((file) => file.costs[measure.key] !== undefined)) return "No such file was measured.";
    return budgetBox.value ? `No file fits within ${budget}.` : "Give a budget.";
  }

  function name(chosen) {
    const parts = chosen ? chosen.path.split(/(?<=[/_])/) : [];
    element("path").replaceChildren(...parts.flatMap((part) => [part, document.createElement("wbr")]));
    element("copy").hidden = !chosen;
    element("copied").textContent = "";
    element("facts").replaceChildren(
      ...(chosen ? table.facts(files.indexOf(chosen)) : []).map(([heading, text]) => {
        const [pair, term, value] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
        term.textContent = heading;
        value.textContent = text;
        pair.append(term, value);
        return pair;
      }),
    );
  }

  function takeSlider() {
    const budget = budgetAt(slider.value / stops, files, limits());
    slider.disabled = Number.isNaN(budget);
    budgetBox.value = Number.isNaN(budget) ? "" : budget;
    show();
  }

  // Puts the slider on the first stop that is no smaller than the number typed.
  function takeNumber() {
    const state = limits();
    const shares = [...Array(stops + 1).keys()];
    const stop = shares.find((each) => budgetAt(each / stops, files, state) >= budgetBox.valueAsNumber);
    slider.value = stop ?? stops;
    show();
  }

  function startOver() {
    element("unit").textContent = limits().measure.unit;
    slider.value = stops;
    takeSlider();
  }

  async function copyPath() {
    const path = element("path");
    try {
      await navigator.clipboard.writeText(path.textContent);
      element("copied").textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(path);
      element("copied").textContent = "Selected; copy it with Ctrl+C.";
    }
  }

  measureBox.addEventListener("change", startOver);
  precisionBox.addEventListener("change", startOver);
  preferBox.addEventListener("change", show);
  slider.addEventListener("input", takeSlider);
  budgetBox.addEventListener("input", takeNumber);
  element("copy").addEventListener("click", copyPath);
  startOver();
})();
