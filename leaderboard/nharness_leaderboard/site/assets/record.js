// A record page: draws the charts from the specifications in the page, in the colours of the page; copy and image buttons.
(function () {
  "use strict";
  var n = window.nharness, views = new Map();

  function theme() {
    var style = getComputedStyle(document.documentElement);
    function colour(name) { return style.getPropertyValue("--" + name).trim(); }
    var text = { labelColor: colour("soft"), titleColor: colour("soft"), labelFontSize: 12, titleFontSize: 12, titleFontWeight: 500 };
    return {
      aria: false, background: "transparent", font: "system-ui, 'Liberation Sans', sans-serif", view: { stroke: null },
      axis: Object.assign({ gridColor: colour("line"), domainColor: colour("line"), tickColor: colour("line") }, text),
      legend: text, text: { color: colour("ink") }
    };
  }

  function draw(figure) {
    var spec = JSON.parse(document.getElementById(figure.dataset.chart).textContent);
    var place = figure.querySelector(".chart");
    return window.vegaEmbed(place, spec, { actions: false, renderer: "svg", config: theme(), mode: "vega-lite" }).then(function (result) {
      views.set(figure.id, result.view);
      place.querySelector("svg").setAttribute("aria-hidden", "true");
      figure.dataset.drawn = "1";
    });
  }

  // The numbers behind a chart, for readers who cannot or will not look at it.
  function tabulate(figure) {
    var rows = JSON.parse(document.getElementById(figure.dataset.chart).textContent).data.values, columns = Object.keys(rows[0] || {});
    var title = figure.querySelector("h3").textContent;
    var head = n.make("tr", {}, columns.map(function (name) { return n.make("th", { scope: "col" }, name.replace(/_/g, " ")); }));
    var body = rows.map(function (row) {
      return n.make("tr", {}, columns.map(function (name) {
        return n.make("td", {}, typeof row[name] === "string" ? row[name] : Number.isInteger(row[name]) ? row[name].toLocaleString("en") : n.number(row[name], 4));
      }));
    });
    figure.querySelector(".numbers").append(n.make("div", { "class": "scroll", tabindex: "0", role: "region", "aria-label": title },
      n.make("table", { "class": "plain" }, [n.make("caption", {}, title), n.make("thead", {}, head), n.make("tbody", {}, body)])));
  }

  function fail(figure, error) {
    figure.querySelector(".chart").textContent = "This chart cannot be drawn; its numbers are in the table.";
    console.error(error);
  }

  function drawAll() {
    var figures = Array.from(document.querySelectorAll("figure[data-chart]"));
    return figures.reduce(function (before, figure) { return before.then(function () { return draw(figure); }).catch(function (error) { fail(figure, error); }); }, Promise.resolve()).then(function () {
      document.documentElement.dataset.ready = "1";
    });
  }

  function image(figure, kind) {
    var view = views.get(figure.id);
    if (!view) return;
    view.toImageURL(kind, kind === "png" ? 3 : 1).then(function (url) {
      var link = n.make("a", { href: url, download: figure.id + "." + kind });
      document.body.append(link);
      link.click();
      link.remove();
    });
  }

  document.querySelectorAll("[data-image]").forEach(function (button) {
    button.addEventListener("click", function () { image(button.closest("figure"), button.dataset.image); });
  });
  function saveMatrix(button) {
    var table = button.closest(".matrix").querySelector("table");
    var columns = ["deactivated", "neurons"].concat(Array.from(table.querySelectorAll("thead abbr")).map(function (cell) { return cell.textContent; }));
    var rows = Array.from(table.querySelectorAll("tbody tr")).map(function (row) {
      return [row.querySelector("th").textContent, Number(row.querySelector(".n").textContent.replace(/,/g, ""))].concat(
        Array.from(row.querySelectorAll(".c")).map(function (cell) { return cell.dataset.value === undefined ? null : Number(cell.dataset.value); }));
    });
    var name = "matrix-" + table.dataset.task;
    if (button.dataset.matrix === "csv") n.save(name + ".csv", "text/csv", n.csv(columns, rows));
    else n.save(name + ".tex", "text/x-tex", n.latex(columns, rows));
  }

  document.querySelectorAll("[data-matrix]").forEach(function (button) {
    button.addEventListener("click", function () { saveMatrix(button); });
  });
  document.querySelectorAll("[data-copy]").forEach(function (button) {
    button.addEventListener("click", function () {
      var text = document.getElementById(button.dataset.copy).textContent;
      var done = function () { button.textContent = "Copied"; };
      if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, function () { select(button.dataset.copy); });
      else select(button.dataset.copy);
    });
  });

  function select(id) {
    var range = document.createRange();
    range.selectNodeContents(document.getElementById(id));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  }

  document.querySelectorAll("figure[data-chart]").forEach(tabulate);
  drawAll();
  document.addEventListener("themechange", drawAll);
})();
