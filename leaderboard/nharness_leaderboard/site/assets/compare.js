// Compare: loads the chosen records' data (a script each, which works from the disk), shows them side by side, pairs them.
(function () {
  "use strict";
  var n = window.nharness, make = n.make, known = n.data(), MAX = n.MOST_COMPARED;
  var add = document.getElementById("add"), loaded = window.nharnessRecords = Object.create(null);
  var chosen = [], task = "", left = "";

  function load(id) {
    if (loaded[id]) return Promise.resolve(true);
    return new Promise(function (resolve) {
      var script = make("script", { src: "data/" + id + ".js" });
      script.onload = function () { resolve(Boolean(loaded[id])); };
      script.onerror = function () { resolve(false); };
      document.head.append(script);
    });
  }

  function restore() {
    var state = n.readState();
    var ids = (state.r || "").split(",").filter(function (id, i, all) { return /^[0-9a-f]{12}$/.test(id) && all.indexOf(id) === i; });
    var here = ids.filter(function (id) { return Object.prototype.hasOwnProperty.call(known, id); });
    chosen = here.slice(0, MAX);
    left = [here.length > MAX ? here.length - MAX + " of the " + here.length + " picked records are left out: at most " + MAX + " are compared at once." : "",
            ids.length > here.length && here.length ? ids.length - here.length + " of the picked records are not on this site." : ""].filter(Boolean).join(" ");
    task = state.task || "";
    return Promise.all(chosen.map(load)).then(render);
  }

  function remember() { n.writeState({ r: chosen.join(","), task: task }); }

  function render() {
    var records = chosen.filter(function (id) { return loaded[id]; }).map(function (id) { return loaded[id]; });
    var tasks = Array.from(new Set([].concat.apply([], records.map(function (r) { return Object.keys(r.tasks); }))));
    if (tasks.indexOf(task) < 0) task = tasks[0] || "";
    n.options(add.elements.task, tasks);
    add.elements.task.value = task;
    var free = Object.keys(known).filter(function (id) { return chosen.indexOf(id) < 0; });
    n.options(add.elements.record, free, free.map(function (id) { return known[id]; }), "choose");
    drawChips();
    var place = document.getElementById("tables");
    place.replaceChildren();
    document.getElementById("status").textContent = records.length ? left : "Choose records here, or pick them on the board.";
    if (records.length) place.append(sideBySide(records));
    if (records.length > 1 && records.some(function (r) { return r.headline; })) place.append(ranking(records));
    if (records.length > 1) place.append(differences(records));
    var measured = records.filter(function (r) { return r.tasks[task]; });
    var largest = largestOf(measured.map(function (r) { return r.tasks[task].harm; }));
    var maps = make("div", { "class": "figures" }, measured.map(function (r) { return heat(label(r), r.tasks[task], r.tasks[task].harm, largest); }));
    place.append(maps);
    if (records.length === 2 && records.every(function (r) { return r.tasks[task]; })) maps.append(heatDifference(records));
    document.documentElement.dataset.ready = String(Number(document.documentElement.dataset.ready || 0) + 1);
  }

  function label(record) {
    return [record.detector, record.budget === null ? null : n.share(record.budget), "(" + record.id + ")"].filter(Boolean).join(" ");
  }

  function drawChips() {
    document.getElementById("chosen").replaceChildren.apply(document.getElementById("chosen"), chosen.map(function (id) {
      var button = make("button", { type: "button", "class": "quiet", "aria-label": "Remove " + known[id] }, "\u00d7");
      button.addEventListener("click", function () { chosen = chosen.filter(function (other) { return other !== id; }); remember(); render(); });
      return make("li", {}, [make("a", { href: "records/" + id + ".html" }, known[id]), " ", button]);
    }));
  }

  function table(caption, head, rows) {
    return make("div", { "class": "scroll", tabindex: "0", role: "region", "aria-label": caption }, make("table", { "class": "plain" }, [
      make("caption", {}, make("span", {}, caption)),
      make("thead", {}, make("tr", {}, head.map(function (text) { return make("th", { scope: "col" }, text); }))),
      make("tbody", {}, rows.map(function (row) {
        return make("tr", {}, row.map(function (value, i) { return i ? make("td", {}, value) : make("th", { scope: "row" }, value); }));
      }))
    ]));
  }

  function estimate(e) { return e && e[0] !== null ? n.places(e[0]) + (e[1] === null ? "" : " (" + n.places(e[1]) + " to " + n.places(e[2]) + ")") : n.NONE; }

  function sideBySide(records) {
    function each(f) { return records.map(function (r) { return f(r, r.tasks[task] || {}); }); }
    var measured = records.find(function (r) { return r.tasks[task]; }), unit = measured ? " in " + measured.tasks[task].unit : "";
    return make("section", {}, [make("h2", {}, "Side by side"), table("Harm and selectivity of " + task + unit, [""].concat(records.map(label)), [
      ["Model"].concat(each(function (r) { return r.model; })),
      ["Intervention"].concat(each(function (r) { return r.intervention; })),
      ["Kinds of neurons"].concat(each(function (r) { return r.kinds.replace(/\+/g, ", "); })),
      ["Budget, of all neurons"].concat(each(function (r) { return r.budget === null ? "as found" : n.share(r.budget); })),
      ["Neurons"].concat(each(function (r) { return r.neurons.toLocaleString("en"); })),
      ["Selectivity"].concat(each(function (r, t) { return estimate(t.s); })),
      ["Harm to the own language"].concat(each(function (r, t) { return estimate(t.on); })),
      ["Harm to the others"].concat(each(function (r, t) { return estimate(t.off); })),
      ["Against random, sd"].concat(each(function (r, t) { return n.signed(t.effect); })),
      ["Own hit hardest"].concat(each(function (r, t) { return n.percent(t.diag); })),
      ["Accuracy lost, points"].concat(each(function (r) { return n.signed(r.accuracy, 2); })),
      ["Known neurons, AUROC"].concat(each(function (r) { return n.number(r.auroc); })),
      ["Forward tokens"].concat(each(function (r) { return n.short(r.tokens); })),
      ["Time"].concat(each(function (r) { return n.time(r.seconds); }))
    ])]);
  }

  // The paired difference, resampled when the site was built; unpaired where items differ or are not published.
  function difference(a, b, id) {
    var value = a.s[0] - b.s[0], paired = a.minus[id];
    if (paired) return { value: paired[0], low: paired[1], high: paired[2], how: "paired" };
    if (a.s[1] === null || b.s[1] === null) return null;
    return { value: value, low: value - Math.hypot(a.s[0] - a.s[1], b.s[2] - b.s[0]), high: value + Math.hypot(a.s[2] - a.s[0], b.s[0] - b.s[1]), how: "unpaired" };
  }

  function differences(records) {
    var rows = [];
    records.forEach(function (a, i) {
      records.slice(i + 1).forEach(function (b) {
        var one = a.tasks[task], two = b.tasks[task];
        var name = label(a) + " minus " + label(b);
        if (!one || !two || one.s[0] === null || two.s[0] === null) { rows.push([name, n.NONE, "", "no selectivity on both"]); return; }
        if (one.set !== two.set) { rows.push([name, n.NONE, "", "not comparable: another model, corpus, set of languages or task"]); return; }
        var d = difference(one, two, b.id);
        if (!d) { rows.push([name, n.signed(one.s[0] - two.s[0]), "", "no interval"]); return; }
        var decided = d.low > 0 || d.high < 0;
        rows.push([name, make("b", { "data-difference": d.value }, n.places(d.value)), n.places(d.low) + " to " + n.places(d.high), d.how + (decided ? "" : ", cannot be told apart")]);
      });
    });
    return make("section", { id: "differences" }, [make("h2", {}, "Differences in selectivity, at the given budgets"), table("95 % intervals", ["", "Difference", "Interval", ""], rows)]);
  }

  // By the kept share: ranks among all records of the set, and every two's difference, whose intervals hold all at once.
  function ranking(records) {
    var rows = records.map(function (r) {
      var h = r.headline;
      if (!h) return [label(r), n.NONE, n.NONE, "measured at one budget, without ladders"];
      var ends = h.kept[1] === null ? "" : " (" + h.kept[1].toFixed(2) + " to " + h.kept[2].toFixed(2) + ")";
      return [label(r), h.rank || "none", h.kept[0] === null ? n.NONE : h.kept[0].toFixed(2) + ends, h.unranked || h.reached[0] + " of " + h.reached[1] + " languages reach " + n.percent(h.harm) + " harm"];
    });
    var pairs = [];
    records.forEach(function (a, i) {
      records.slice(i + 1).forEach(function (b) {
        var name = label(a) + " minus " + label(b), found = a.headline && b.headline ? a.headline.minus[b.id] : null;
        if (!found) { pairs.push([name, n.NONE, "", a.headline && b.headline && a.headline.set !== b.headline.set ? "not comparable: another model, corpus, set of languages, task or edit" : "not ranked together"]); return; }
        var decided = found[1] > 0 || found[2] < 0;
        pairs.push([name, make("b", { "data-kept-difference": found[0] }, n.fixed(found[0], 3)), n.fixed(found[1], 3) + " to " + n.fixed(found[2], 3), decided ? "told apart" : "cannot be told apart"]);
      });
    });
    return make("section", { id: "ranking" }, [make("h2", {}, "Kept share"), table("Ranks among all records of the set", ["", "Rank", "Kept share", ""], rows), table("Differences; all intervals of the set hold at once", ["", "Difference", "95 %", ""], pairs)]);
  }

  function largestOf(matrices) {
    var largest = 0;
    matrices.forEach(function (harm) { harm.forEach(function (row) { row.forEach(function (v) { if (v !== null) largest = Math.max(largest, Math.abs(v)); }); }); });
    return largest;
  }

  function heat(title, t, harm, largest) {
    var head = make("tr", {}, [make("td")].concat(t.languages.map(function (tag) { return make("th", { scope: "col" }, tag); })));
    var body = harm.map(function (row, i) {
      return make("tr", {}, [make("th", { scope: "row" }, t.targets[i])].concat(row.map(function (v, j) {
        var own = t.owners[i] === t.languages[j] ? " own" : "";
        if (v === null) return make("td", { "class": "c failed" + own }, "failed");
        var mark = t.sig && t.sig[i][j] ? make("sup", {}, "*") : null;
        return make("td", { "class": "c " + (v < 0 ? "gain" : "harm") + own, style: "--v:" + (largest ? Math.round(100 * Math.abs(v) / largest) : 0) + "%", "data-value": v }, [n.fixed(v, largest < 0.1 ? 4 : largest < 10 ? 3 : 1), mark]);
      })));
    });
    return make("section", {}, [make("h2", {}, title), make("div", { "class": "scroll", tabindex: "0", role: "region", "aria-label": title }, make("table", { "class": "heat" }, [
      make("caption", {}, make("span", {}, "Harm, " + t.unit + "; shades from 0 to " + n.number(largest) + (t.sig ? "; * told from no change and from random neurons" : ""))), make("thead", {}, head), make("tbody", {}, body)]))]);
  }

  function heatDifference(records) {
    var a = records[0].tasks[task], b = records[1].tasks[task];
    if (a.set !== b.set || String(a.languages) !== String(b.languages) || String(a.targets) !== String(b.targets)) return make("p", { "class": "note" }, "No matrix of differences: the two are not comparable (another model, corpus, set of languages or task).");
    var apart = a.harm.map(function (row, i) { return row.map(function (v, j) { return v === null || b.harm[i][j] === null ? null : v - b.harm[i][j]; }); });
    return heat(label(records[0]) + " minus " + label(records[1]), { languages: a.languages, targets: a.targets, owners: a.owners, unit: a.unit }, apart, largestOf([apart]));
  }

  add.addEventListener("submit", function (event) {
    event.preventDefault();
    var id = add.elements.record.value;
    if (!id || chosen.length >= MAX) { document.getElementById("status").textContent = id ? "At most " + MAX + " records at once." : "Choose a record first."; return; }
    chosen.push(id);
    remember();
    load(id).then(render);
  });
  add.elements.task.addEventListener("change", function () { task = add.elements.task.value; remember(); render(); });
  window.addEventListener("hashchange", restore);
  restore();
})();
