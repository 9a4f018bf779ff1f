// The board: filter, sort, group by comparable set, draw intervals; the state is in the URL's fragment.
(function () {
  "use strict";
  var n = window.nharness, make = n.make, data = n.data(), full = false;
  var PAGE = 100, MAX_PICKED = n.MOST_COMPARED;
  var FILTERS = ["model", "detector", "intervention", "kinds", "budget", "badge"];
  var form = document.getElementById("filters"), table = document.getElementById("board");
  var byLanguage = null, picked = [], shown = PAGE, state, sorted = [];

  // unit: the small line under a label; list: shown only in one list, where no headline of a set says it.
  var COLUMNS = [
    { key: "pick", label: "", text: null },
    { key: "rank", label: "Rank", unit: "95 % interval", help: "ranks", value: function (r) { return rank(r) ? rank(r)[0] + rank(r)[1] / 1000 : null; }, draw: drawRank, set: true },
    { key: "detector", label: "Detector", unit: "how neurons were found", value: function (r) { return r.detector; }, draw: drawName, cls: "name" },
    { key: "model", label: "Model", value: function (r) { return r.model; }, list: true },
    { key: "intervention", label: "Intervention", value: function (r) { return r.intervention; }, list: true },
    { key: "kinds", label: "Kinds", value: function (r) { return r.kinds; }, draw: function (r) { return kinds(r.kinds); }, list: true },
    { key: "budget", label: "Budget", unit: "of all neurons", value: function (r) { return r.budget; }, draw: function (r) { return budget(r.budget); }, cls: "r", list: true },
    { key: "kept", label: "Kept share", unit: "of one harm, 95 %", help: "kept", value: function (r) { return kept(r)[0]; }, draw: drawKept, cls: "r" },
    { key: "selectivity", label: "Selectivity", unit: function () { return "harm to own \u2212 to others, " + taskOf().unit; }, help: "selectivity", value: function (r) { return sel(r)[0]; }, draw: drawSelectivity },
    { key: "random", label: "vs random", unit: "sd of random draws", help: "random", value: function (r) { return control(r, 2); }, draw: drawRandom, cls: "r" },
    { key: "diagonal", label: "Own hit hardest", unit: "of languages", help: "diagonal", value: diagonal, draw: drawDiagonal, cls: "r" },
    { key: "accuracy", whole: true, label: "Accuracy lost", unit: "points, own language", help: "accuracy", value: function (r) { return r.accuracy; }, draw: function (r) { return n.signed(r.accuracy, 2); }, cls: "r" },
    { key: "auroc", whole: true, label: "Known neurons", unit: "AUROC, chance 0.5", help: "truth", value: function (r) { return r.auroc; }, draw: drawTruth, cls: "r" },
    { key: "neurons", label: "Neurons", unit: function () { return state.lang ? "of the language" : "all languages"; }, value: neurons, draw: function (r) { return neurons(r) === null ? n.NONE : neurons(r).toLocaleString("en"); }, cls: "r" },
    { key: "tokens", whole: true, label: "Tokens", unit: "of cost", value: function (r) { return r.tokens; }, draw: function (r) { return n.short(r.tokens); }, cls: "r" },
    { key: "seconds", whole: true, label: "Time", unit: "of cost", value: function (r) { return r.seconds; }, draw: function (r) { return n.time(r.seconds); }, cls: "r" }
  ];

  function columns() { return COLUMNS.filter(function (c) { return state.view ? !c.set : !c.list; }); }
  function taskOf() { return data.tasks.find(function (t) { return t.name === state.task; }) || { unit: "" }; }
  function budget(value) { return value === null ? "as found" : n.share(value); }
  function kinds(text) { return text === "specific+related+general" ? "all kinds" : text.replace(/\+/g, ", ") + " only"; }
  function own(object, name) { return Object.prototype.hasOwnProperty.call(object, name) ? object[name] : undefined; }
  function part(row) { return own(row.tasks, state.task) || {}; }
  function sel(row) { return (state.lang ? ofLanguage(row) : part(row).s) || [null, null, null, null]; }
  function ofLanguage(row) {
    if (!byLanguage) byLanguage = JSON.parse(document.getElementById("by-language").textContent);
    return own((own(byLanguage, row.id) || {})[state.task] || {}, state.lang);
  }
  function kept(row) { return state.lang ? [(ofLanguage(row) || [])[4]] : part(row).kept || [null, null, null]; }
  function neurons(row) { return state.lang ? (ofLanguage(row) || [])[5] : row.neurons; }
  function control(row, i) { return state.lang || !part(row).c ? null : part(row).c[i]; }
  function diagonal(row) { return state.lang ? (sel(row)[3] === null ? null : Number(sel(row)[3])) : part(row).diag; }

  function start() {
    var tasks = data.tasks.map(function (t) { return t.name; });
    n.options(form.elements.task, tasks, data.tasks.map(function (t) { return t.name + " (" + t.unit + ")"; }));
    var tags = Object.keys(data.languages);
    n.options(form.elements.lang, tags, tags.map(function (t) { return data.languages[t] + " (" + t + ")"; }), "all together");
    FILTERS.forEach(function (name) {
      var values = Array.from(new Set(data.rows.map(function (r) { return String(r[name] === null ? "none" : r[name]); })));
      values.sort(function (a, b) { return a.localeCompare(b, "en", { numeric: true }); });
      var labels = values.map(function (v) { return name === "kinds" ? kinds(v) : name === "budget" ? budget(v === "none" ? null : Number(v)) : v; });
      n.options(form.elements[name], values, labels, "any");
    });
    form.addEventListener("input", changed);
    form.addEventListener("submit", function (event) { event.preventDefault(); });
    form.addEventListener("reset", function () { setTimeout(changed, 0); });
    window.addEventListener("hashchange", function () { restore(); render(); });
    document.getElementById("more").addEventListener("click", function () { shown = Infinity; render(); });
    document.getElementById("clear").addEventListener("click", function () { picked = []; render(); });
    document.querySelectorAll("[data-save]").forEach(function (b) { b.addEventListener("click", function () { save(b.dataset.save); }); });
    restore();
    render();
    document.documentElement.dataset.ready = "1";
  }

  function restore() {
    var from = n.readState();
    state = { sort: COLUMNS.some(function (c) { return c.key === (from.sort || "").replace("-", "") && c.value; }) ? from.sort : "-selectivity" };
    Array.from(form.elements).forEach(function (field) {
      if (!field.name) return;
      var wanted = from[field.name] || "";
      if (field.tagName === "SELECT") {
        var known = Array.from(field.options).some(function (o) { return o.value === wanted; });
        field.value = known ? wanted : field.options.length ? field.options[0].value : "";
      } else field.value = wanted;
      state[field.name] = field.value;
    });
  }

  function changed() {
    Array.from(form.elements).forEach(function (field) { if (field.name) state[field.name] = field.value; });
    shown = PAGE;
    remember();
    render();
  }

  function remember() {
    var out = {};
    Object.keys(state).forEach(function (name) { out[name] = state[name]; });
    if (data.tasks.length && out.task === data.tasks[0].name) out.task = "";
    if (out.sort === "-selectivity") out.sort = "";
    n.writeState(out);
  }

  function matches(row) {
    if (!own(row.tasks, state.task)) return false;
    if (state.lang && !ofLanguage(row)) return false;
    for (var i = 0; i < FILTERS.length; i++) {
      var name = FILTERS[i];
      if (state[name] && String(row[name] === null ? "none" : row[name]) !== state[name]) return false;
    }
    var words = (state.q || "").toLowerCase().split(/\s+/).filter(Boolean);
    var text = [row.detector, row.model, row.intervention, row.kinds, row.id].join(" ").toLowerCase();
    return words.every(function (word) { return text.indexOf(word) >= 0; });
  }

  function compareRows(a, b) {
    var down = state.sort[0] === "-", key = state.sort.replace("-", "");
    var value = COLUMNS.find(function (c) { return c.key === key; }).value;
    var x = value(a), y = value(b);
    if (x === null || x === undefined) return y === null || y === undefined ? 0 : 1;
    if (y === null || y === undefined) return -1;
    var order = typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y;
    return (down ? -order : order) || (a.id < b.id ? -1 : 1);
  }

  // Sets of the model with most records first; within a model fixed budgets first, where numbers of neurons are equal.
  function setOrder(rows) {
    var counts = Object.create(null);
    rows.forEach(function (row) { counts[row.model] = (counts[row.model] || 0) + 1; });
    return function (a, b) {
      var x = own(data.sets, a[0]) || {}, y = own(data.sets, b[0]) || {};
      if (x.model !== y.model) return counts[y.model] - counts[x.model] || (x.model < y.model ? -1 : 1);
      if ((x.budget === null) !== (y.budget === null)) return x.budget === null ? 1 : -1;
      return b[1].length - a[1].length || (x.budget || 0) - (y.budget || 0) || (a[0] < b[0] ? -1 : 1);
    };
  }

  function render() {
    var rows = data.rows.filter(matches), groups = new Map();
    rows.forEach(function (row) {
      var key = state.view ? "" : part(row).set || "";
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(row);
    });
    var ordered = Array.from(groups.entries()).sort(setOrder(rows));
    ordered.forEach(function (group) { group[1].sort(compareRows); });
    sorted = [].concat.apply([], ordered.map(function (group) { return group[1]; }));
    drawHead();
    table.querySelectorAll("tbody").forEach(function (body) { body.remove(); });
    var left = shown, bodies = document.createDocumentFragment();
    ordered.forEach(function (group) {
      if (left <= 0) return;
      var members = group[1].slice(0, left);
      left -= members.length;
      bodies.append(drawGroup(group[0], group[1].length, members, makeScale(group[1])));
    });
    table.append(bodies);
    document.getElementById("count").textContent = rows.length + " of " + data.rows.length + " records" +
      (groups.size > 1 ? " in " + groups.size + " sets" : "") + (state.lang ? ", " + data.languages[state.lang] + " alone; ranks, random draws, accuracy, known neurons and cost are not told by language" : "");
    var more = document.getElementById("more");
    more.hidden = rows.length <= shown;
    more.textContent = "Show all " + rows.length;
    drawTray();
  }

  function drawHead() {
    var row = make("tr");
    columns().forEach(function (column) {
      if (!column.value) { row.append(make("td", {}, make("span", { "class": "sr" }, "Pick for comparing"))); return; }
      var unit = state.lang && column.whole ? "of all languages" : typeof column.unit === "function" ? column.unit() : column.unit;
      var cell = make("th", { scope: "col", "class": column.cls === "r" ? "r" : null });
      var button = make("button", { type: "button", "data-sort": column.key, title: column.help ? "Sort; explained under Methods, " + column.help : "Sort" }, [make("span", {}, column.label), unit ? make("small", {}, unit) : null]);
      if (state.sort.replace("-", "") === column.key) cell.setAttribute("aria-sort", state.sort[0] === "-" ? "descending" : "ascending");
      button.addEventListener("click", function () { sortBy(column.key); });
      cell.append(button);
      row.append(cell);
    });
    table.tHead.replaceChildren(row);
  }

  function sortBy(key) {
    var text = ["detector", "model", "intervention", "kinds", "rank"].indexOf(key) >= 0;
    var same = state.sort.replace("-", "") === key;
    state.sort = same ? (state.sort[0] === "-" ? key : "-" + key) : (text ? key : "-" + key);
    remember();
    render();
    table.querySelector("[data-sort=" + key + "]").focus();
  }

  function drawGroup(key, size, members, scale) {
    var body = make("tbody"), set = own(data.sets, key), shownColumns = columns();
    if (set) {
      var text = [set.corpus + ", " + set.languages.length + " languages, " + set.items.toLocaleString("en") + " items", set.intervention, kinds(set.kinds),
                  set.budget === null ? "as many neurons as each detector finds" : n.share(set.budget) + " of neurons per language (" + Math.max(1, Math.round(set.budget * set.total)).toLocaleString("en") + ")",
                  size + (size === 1 ? " record" : " records")].join(" \u00b7 ");
      body.append(make("tr", {}, make("th", { colspan: shownColumns.length, scope: "rowgroup" }, make("div", {}, [set.model, make("small", {}, text)]))));
    }
    members.forEach(function (row) {
      var line = make("tr", { "data-id": row.id });
      shownColumns.forEach(function (column) {
        var cell = make("td", { "class": column.cls || null });
        if (!column.value) cell.append(drawPick(row));
        else cell.append(column.draw ? column.draw(row, scale) : String(column.value(row)));
        line.append(cell);
      });
      body.append(line);
    });
    return body;
  }

  function makeScale(rows) {
    var low = 0, high = 0;
    rows.forEach(function (row) { sel(row).slice(0, 3).forEach(function (v) { if (v !== null) { low = Math.min(low, v); high = Math.max(high, v); } }); });
    var pad = (high - low || 1) * 0.03;
    low -= pad; high += pad;
    return function (value) { return Math.max(0, Math.min(120, 120 * (value - low) / (high - low))); };
  }

  function drawSelectivity(row, scale) {
    var s = sel(row);
    if (s[0] === null) {
      var all = part(row).all;
      return all === null || all === undefined || state.lang ? n.NONE : make("span", { "class": "ci" }, "no one language: " + n.places(all) + " harm to all");
    }
    var marks = [], c = state.lang ? null : part(row).c;
    if (c && c[1] !== null) {
      var a = scale(c[0] - 2 * c[1]), b = scale(c[0] + 2 * c[1]);
      marks.push(n.svg("rect", { "class": "band", x: a, y: 3, width: Math.max(1, b - a), height: 12 }));
    }
    marks.push(n.svg("line", { "class": "zero", x1: scale(0), x2: scale(0), y1: 0, y2: 18 }));
    if (s[1] !== null) marks.push(n.svg("line", { "class": "span", x1: scale(s[1]), x2: scale(s[2]), y1: 9, y2: 9 }));
    marks.push(n.svg("circle", { "class": "dot", cx: scale(s[0]), cy: 9, r: 4 }));
    return make("div", { "class": "sel" }, [
      make("b", {}, n.places(s[0])),
      n.svg("svg", { "class": "whisker", viewBox: "0 0 120 18", width: 120, height: 18, "aria-hidden": "true" }, marks),
      make("span", { "class": "ci" }, s[1] === null ? "no interval" : n.places(s[1]) + " to " + n.places(s[2]))
    ]);
  }

  function rank(row) { return state.lang ? null : part(row).rank || null; }

  function drawRank(row) {
    var found = rank(row), why = state.lang ? null : part(row).unranked;
    if (!found) return why ? make("span", { "class": "unranked", title: why }, ["none", make("span", { "class": "sr" }, ": " + why)]) : n.NONE;
    return make("span", { "class": "rank" + (found[0] === 1 ? " first" : "") }, found[0] === found[1] ? String(found[0]) : found[0] + "\u2013" + found[1]);
  }

  function drawKept(row) {
    var k = kept(row);
    if (k[0] === null || k[0] === undefined) return n.NONE;
    return make("span", {}, [make("b", {}, k[0].toFixed(2)), k[1] === null || k[1] === undefined ? null : make("small", {}, " " + k[1].toFixed(2) + " to " + k[2].toFixed(2))]);
  }

  function drawName(row) {
    var link = make("a", { href: "records/" + row.id + ".html" }, row.detector), mark = document.createDocumentFragment();
    mark.append(link);
    if (row.badge === "reproduced") mark.append(" ", make("span", { "class": "check", role: "img", "aria-label": "reproduced", title: "reproduced by a maintainer" }, "\u2713"));
    return mark;
  }

  function drawRandom(row) {
    var effect = control(row, 2), p = control(row, 3);
    if (effect === null) return n.NONE;
    return make("span", { title: "p " + n.number(p, 2) + ", " + control(row, 4) + " draws" }, n.signed(effect));
  }

  function drawTruth(row) {
    return row.auroc === null ? n.NONE : make("span", { title: "against truth: " + row.truth }, n.number(row.auroc));
  }

  function drawDiagonal(row) {
    var value = diagonal(row);
    if (state.lang) return value === null ? n.NONE : value ? "yes" : "no";
    return n.percent(value);
  }

  function drawPick(row) {
    var box = make("input", { type: "checkbox", "aria-label": "Compare " + row.detector + " on " + row.model + ", " + row.id });
    box.checked = picked.indexOf(row.id) >= 0;
    box.addEventListener("change", function () {
      picked = picked.filter(function (id) { return id !== row.id; });
      full = box.checked && picked.length >= MAX_PICKED;
      if (box.checked && !full) picked = picked.concat(row.id);
      drawTray();
    });
    return box;
  }

  function drawTray() {
    document.getElementById("tray").hidden = !picked.length;
    document.getElementById("picked").textContent = picked.length + " picked" + (full ? "; at most " + MAX_PICKED + " are compared at once, take one away first" : "");
    document.getElementById("go").href = "compare.html#r=" + picked.join(",") + "&task=" + encodeURIComponent(state.task);
    table.querySelectorAll("tr[data-id] input").forEach(function (box) { box.checked = picked.indexOf(box.closest("tr").dataset.id) >= 0; });
  }

  function save(kind) {
    var columns = ["id", "detector", "model", "intervention", "kinds", "budget", "task", "unit", "language", "rank_low", "rank_high", "kept", "selectivity", "selectivity_low", "selectivity_high",
                   "control_effect", "control_p", "diagonal", "accuracy_lost_points", "auroc", "truth", "neurons", "tokens", "seconds", "badge"];
    var rows = sorted.map(function (r) {
      var s = sel(r);
      return [r.id, r.detector, r.model, r.intervention, r.kinds, r.budget, state.task, taskOf().unit, state.lang || "all", rank(r) && rank(r)[0], rank(r) && rank(r)[1], kept(r)[0], s[0], s[1], s[2],
              control(r, 2), control(r, 3), diagonal(r), r.accuracy, r.auroc, r.truth, neurons(r), r.tokens, r.seconds, r.badge];
    });
    if (kind === "csv") n.save("board.csv", "text/csv", n.csv(columns, rows));
    else if (kind === "tex") n.save("board.tex", "text/x-tex", n.latex(columns.slice(1), rows.map(function (r) { return r.slice(1); })));
    else n.save("board.json", "application/json", JSON.stringify(rows.map(function (row) {
      var one = {};
      columns.forEach(function (name, i) { one[name] = row[i]; });
      return one;
    }), null, 1));
  }

  if (matchMedia("(max-width: 44rem)").matches) document.getElementById("fold").open = false;
  start();
})();
