// The front page's table: a click on a column's head sorts by it, another turns the order, a third restores the page's.
(function () {
  "use strict";
  var table = document.querySelector(".fronttable"), body = table && table.tBodies[0];
  if (!table || !body.rows.length) return;
  var ordered = Array.from(body.rows), column = -1, turn = 0;

  // What a cell shows: of a language the kept share, unless the switch says harm.
  function value(row, place) {
    var cell = row.cells[place], harm = document.getElementById("show-harm");
    var text = cell.dataset.kept !== undefined && harm && !harm.checked ? cell.dataset.kept : cell.dataset.value;
    return text === undefined || text === "" ? null : Number(text);
  }

  function order() {
    var rows = turn === 0 ? ordered : ordered.slice().sort(function (a, b) {
      var x = value(a, column), y = value(b, column);
      if (x === null || y === null) return (x === null) - (y === null);
      return turn === 1 ? y - x : x - y;
    });
    rows.forEach(function (row) { body.appendChild(row); });
    Array.from(table.tHead.rows[0].cells).forEach(function (head, place) {
      if (place === column && turn) head.setAttribute("aria-sort", turn === 1 ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
  }

  Array.from(table.tHead.rows[0].cells).forEach(function (head, place) {
    if (ordered[0].cells[place].dataset.value === undefined) return;
    var button = document.createElement("button");
    button.type = "button";
    while (head.firstChild) button.appendChild(head.firstChild);
    head.appendChild(button);
    button.addEventListener("click", function () {
      turn = place === column ? (turn + 1) % 3 : 1;
      column = place;
      order();
    });
  });
  document.querySelectorAll("input[name=cells]").forEach(function (radio) { radio.addEventListener("change", order); });
})();
