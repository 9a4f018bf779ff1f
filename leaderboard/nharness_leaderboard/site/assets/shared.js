// What board, record and compare pages share: making elements from text (never from markup), numbers, downloads, the URL.
window.nharness = (function () {
  "use strict";
  var MINUS = "\u2212", NONE = "\u2013";

  function make(tag, attributes, children) {
    var element = document.createElement(tag);
    Object.keys(attributes || {}).forEach(function (name) {
      if (attributes[name] !== null && attributes[name] !== undefined) element.setAttribute(name, attributes[name]);
    });
    [].concat(children === undefined ? [] : children).forEach(function (child) {
      if (child !== null) element.append(child);
    });
    return element;
  }

  function svg(tag, attributes, children) {
    var element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    Object.keys(attributes).forEach(function (name) { element.setAttribute(name, attributes[name]); });
    (children || []).forEach(function (child) { element.append(child); });
    return element;
  }

  function number(value, digits) {
    if (value === null || value === undefined) return NONE;
    digits = digits || 3;
    var size = Math.abs(value), text;
    if (size && (size >= 1e6 || size < 1e-4)) text = value.toExponential(digits - 1);
    else if (size >= Math.pow(10, digits - 1)) text = Math.round(value).toLocaleString("en");
    else text = size ? value.toPrecision(digits) : "0";
    return text.replace(/-/g, MINUS);
  }

  function signed(value, digits) { return (value > 0 ? "+" : "") + number(value, digits); }

  function fixed(value, places) {
    if (value === null || value === undefined) return NONE;
    var text = (value > 0 ? "+" : "") + value.toFixed(places === undefined ? 3 : places);
    return Number(text) ? text.replace("-", MINUS) : "0";
  }

  // Selectivity and harm: four decimals, so that they stand under each other.
  function places(value) { return Math.abs(value) < 1000 ? fixed(value, 4) : signed(value); }

  function percent(value) { return value === null || value === undefined ? NONE : Math.round(100 * value) + "\u202f%"; }

  function short(value) {
    if (value === null || value === undefined) return NONE;
    var units = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
    for (var i = 0; i < units.length; i++) if (value >= units[i][0]) return Number((value / units[i][0]).toPrecision(3)) + "\u202f" + units[i][1];
    return String(Number(value.toPrecision(3)));
  }

  function share(value) { return Number((100 * value).toPrecision(3)) + "\u202f%"; }

  function time(seconds) {
    if (seconds === null || seconds === undefined) return NONE;
    if (seconds < 120) return Number(seconds.toPrecision(2)) + "\u202fs";
    return seconds < 7200 ? Math.round(seconds / 60) + "\u202fmin" : Number((seconds / 3600).toPrecision(2)) + "\u202fh";
  }

  function save(name, type, text) {
    var link = make("a", { href: URL.createObjectURL(new Blob([text], { type: type })), download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(function () { URL.revokeObjectURL(link.href); }, 10000);
  }

  function csv(columns, rows) {
    function cell(value) {
      if (value === null || value === undefined) return "";
      var text = String(value);
      if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = "'" + text;
      return /[",\r\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
    }
    return [columns].concat(rows).map(function (row) { return row.map(cell).join(","); }).join("\r\n") + "\r\n";
  }

  function latex(columns, rows) {
    var special = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}", ">": "\\textgreater{}" };
    function cell(value) {
      if (value === null || value === undefined) return "";
      var text = typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value);
      return text.replace(/[\\~^<>&%$#_{}]/g, function (c) { return special[c] || "\\" + c; });
    }
    var kinds = columns.map(function (_, i) { return rows.some(function (row) { return typeof row[i] === "string"; }) ? "l" : "r"; });
    return ["\\begin{tabular}{" + kinds.join("") + "}", "\\toprule"].concat(
      [columns].concat(rows).map(function (row, i) { return row.map(cell).join(" & ") + " \\\\" + (i ? "" : "\n\\midrule"); }),
      ["\\bottomrule", "\\end{tabular}", ""]).join("\n");
  }

  function readState() {
    var state = {};
    new URLSearchParams(location.hash.slice(1)).forEach(function (value, name) { state[name] = value; });
    return state;
  }

  function writeState(state) {
    var parameters = new URLSearchParams();
    Object.keys(state).forEach(function (name) { if (state[name]) parameters.set(name, state[name]); });
    var hash = "#" + parameters.toString();
    if (hash !== (location.hash || "#")) history.replaceState(null, "", hash);
  }

  function data() { return JSON.parse(document.getElementById("data").textContent); }

  function options(select, values, labels, first) {
    select.replaceChildren();
    if (first !== undefined) select.append(make("option", { value: "" }, first));
    values.forEach(function (value, i) { select.append(make("option", { value: value }, labels ? labels[i] : value)); });
  }

  var MOST_COMPARED = 12;
  return { MOST_COMPARED: MOST_COMPARED, make: make, svg: svg, number: number, signed: signed, fixed: fixed, places: places, percent: percent, share: share, short: short, time: time, save: save, csv: csv,
           latex: latex, readState: readState, writeState: writeState, data: data, options: options, NONE: NONE };
})();
