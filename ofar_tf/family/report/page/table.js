"use strict";
// The table of files: sorted by the buttons in its head, and with the chosen file marked.

class FileTable {
  constructor(table) {
    this.body = table.tBodies[0];
    this.heads = [...table.tHead.rows[0].cells];
    this.rows = [...this.body.rows]; // In the order of the files.
    this.heads.forEach((head, column) => {
      const button = head.querySelector("button");
      button.disabled = false;
      button.addEventListener("click", () => this.sort(column));
    });
  }

  sort(column) {
    const head = this.heads[column];
    const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    this.heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
    const order = (row) => row.cells[column].dataset.order;
    const compare = head.classList.contains("number") ? (a, b) => a - b : (a, b) => a.localeCompare(b);
    const sorted = [...this.rows].sort((a, b) => {
      const [first, second] = [order(a), order(b)];
      if (first === undefined || second === undefined) return (first === undefined) - (second === undefined);
      return direction * compare(first, second);
    });
    this.body.append(...sorted);
  }

  mark(index) {
    this.rows.forEach((row, each) =>
      each === index ? row.setAttribute("aria-current", "true") : row.removeAttribute("aria-current"),
    );
  }

  // What the table says of a file, as pairs of heading and text.
  facts(index) {
    return this.heads
      .map((head, column) => ({ head, text: this.rows[index].cells[column].innerText }))
      .filter(({ head, text }) => "fact" in head.dataset && text)
      .map(({ head, text }) => [head.innerText.trim().replace(/\s+/g, " "), text]);
  }
}
