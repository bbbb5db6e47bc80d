"use strict";
(function () {
  var live = document.body.dataset.live === "true";
  var $ = function (id) { return document.getElementById(id); };
  var board = JSON.parse($("data").textContent);
  var query = "", open = {}, done = { verified: 1, done: 1, skipped: 1 };

  function size(n) {
    var units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"], u = 0;
    while (n >= 1024 && u < units.length - 1) { n /= 1024; u++; }
    return (n < 10 && u > 0 ? n.toFixed(1) : Math.round(n)) + " " + units[u];
  }
  function el(tag, cls, text) {
    var e = document.createElement(tag);
    if (cls) e.className = cls;
    if (text !== undefined) e.textContent = text;
    return e;
  }
  function put(id, text) { var e = $(id); if (e && e.textContent !== String(text)) e.textContent = text; }
  function span(from, to) { return took((Date.parse(to) - Date.parse(from)) / 1000); }
  function took(seconds) {
    var s = Math.max(0, Math.round(seconds)), h = Math.floor(s / 3600), m = Math.floor(s % 3600 / 60);
    return (h ? h + "h" : "") + (h || m ? m + "m" : "") + s % 60 + "s";
  }

  function tile(id, value, there) { put(id, value); $(id).parentNode.hidden = !there; }

  function chart(rates) {
    $("rate").hidden = rates.length < 2;
    if (rates.length < 2) return;
    var first = Date.parse(rates[0].time), last = Date.parse(rates[rates.length - 1].time), most = 1;
    rates.forEach(function (r) { most = Math.max(most, r.rate); });
    if (last <= first) return;
    $("chart").setAttribute("points", rates.map(function (r) {
      return (600 * (Date.parse(r.time) - first) / (last - first)).toFixed(1) + "," + (120 - 118 * r.rate / most).toFixed(1);
    }).join(" "));
    put("chart-from", moment(first) + " to " + moment(last));
    put("chart-most", "at most " + size(most) + "/s");
  }

  // A day's name where the run is longer than one.
  function moment(t) {
    var d = new Date(t), of = board.started && Date.parse(board.time) - Date.parse(board.started) > 86400000;
    return of ? d.toLocaleString() : d.toLocaleTimeString();
  }

  function counted(list, word) {
    var n = (list || []).length;
    return n ? n + " " + word + (n > 1 ? "s" : "") : "";
  }

  function card(c) {
    var li = el("li", "card " + c.state);
    li.dataset.card = c.id;
    var head = el("p", "head");
    var logged = live && !board.over || (c.log || []).length;
    var title = logged ? el("button", "open", c.system) : el("strong", "", c.system);
    if (logged) { title.type = "button"; title.setAttribute("aria-label", "log of " + c.system + ", " + c.state); title.addEventListener("click", function () { log(c); }); }
    head.append(title);
    if (c.name && c.name !== c.system) head.append(el("span", "as", "as " + c.name));
    head.append(el("span", "what", c.state + (c.state === "running" && c.step ? ": " + c.step : "")));
    li.append(head);
    if (c.error) { li.append(el("p", "error", c.error)); if (c.hint) li.append(el("p", "hint", c.hint)); }
    else if (c.reason) li.append(el("p", "hint", c.reason));
    (c.state === "running" ? c.disks || [] : []).forEach(function (d) {
      var row = el("div", "bar"), p = el("progress");
      p.max = Math.max(1, d.total); p.value = d.done;
      p.setAttribute("aria-label", c.system + " " + d.disk + " " + d.phase);
      var share = d.total ? Math.floor(100 * d.done / d.total) : 0;
      row.append(el("span", "", d.disk || d.phase), p, el("span", "", share + " %" + (d.rate ? ", " + size(d.rate) + "/s" : "")));
      li.append(row);
    });
    var facts = [];
    if (c.bytes) facts.push(size(c.bytes));
    if (c.started && c.ended) facts.push("in " + span(c.started, c.ended));
    if (c.rate) facts.push("at " + size(c.rate) + "/s");
    if (c.downtime) facts.push("stood still for " + Math.round(c.downtime) + "s");
    if (facts.length) li.append(el("p", "facts", facts.join(" ")));
    if ((c.proof || []).length || (c.findings || []).length) {
      var more = el("details"), ul = el("ul");
      more.open = !!open[c.id]; // drawn anew, it stays as it was
      more.addEventListener("toggle", function () { open[c.id] = more.open; });
      more.append(el("summary", "", [counted(c.proof, "disk"), counted(c.findings, "finding")].filter(Boolean).join(", ")), ul);
      (c.proof || []).forEach(function (p) {
        var row = el("li", "", p.disk + (p.verified ? ": equal " : ": NOT verified "));
        row.append(el("code", "", p.verified ? p.source : p.source + " / " + (p.destination || "not read")));
        ul.append(row);
      });
      (c.findings || []).forEach(function (f) { ul.append(el("li", "", f)); });
      li.append(more);
    }
    if (board.controls && !board.over && (c.state === "running" || c.state === "pending" || c.state === "failed" || c.state === "cancelled")) {
      var verb = c.state === "failed" || c.state === "cancelled" ? "retry" : "cancel";
      var b = el("button", "ask", verb); b.type = "button"; b.setAttribute("aria-label", verb + " " + c.system);
      b.addEventListener("click", function () { request(verb, c.id); });
      head.append(b);
    }
    return li;
  }

  function shown(c) { return !query || (c.system + " " + (c.name || "") + " " + c.state + " " + (c.step || "")).toLowerCase().indexOf(query) >= 0; }

  function draw() {
    var focused = document.activeElement && document.activeElement.closest ? document.activeElement.closest(".card") : null;
    var key = focused ? focused.dataset.card : null, at = focused ? Array.prototype.indexOf.call(focused.querySelectorAll("button"), document.activeElement) : -1;
    put("subtitle", board.subtitle || "");
    put("state", board.state); $("state").className = "state " + board.state;
    var t = board.totals;
    put("t-systems", t.systems); put("t-done", t.done); put("t-running", t.running); put("t-waiting", t.waiting); put("t-failed", t.failed);
    tile("t-cancelled", t.cancelled || 0, t.cancelled);
    $("t-failed").parentNode.classList.toggle("none", !t.failed);
    ["running", "waiting"].forEach(function (s) { $("t-" + s).parentNode.hidden = !t[s] && (!live || !!board.over); });
    tile("t-bytes", size(t.bytes), t.bytes);
    // While it moves, the rate of now; else that of the whole.
    var now = live && !board.over && (t.running || t.waiting), rate = now ? t.rate : t.seconds ? t.bytes / t.seconds : 0;
    put("t-took-of", now ? "so far" : "took"); tile("t-took", took(t.seconds || 0), t.seconds);
    put("t-rate-of", now ? "rate" : "on average"); tile("t-rate", size(rate) + "/s", rate || now && (board.rates || []).length);
    put("as-of", "As of " + new Date(board.time).toLocaleString() + ". ");
    var parts = $("share").children, of = Math.max(1, t.systems);
    [t.done, t.running, t.failed].forEach(function (n, i) { parts[i].style.width = 100 * n / of + "%"; });
    $("share").setAttribute("aria-label", t.done + " of " + t.systems + " " + board.done + ", " + t.failed + " " + board.failed);
    chart(board.rates || []);
    $("tools").hidden = !board.controls || !!board.over;
    var errors = [];
    var lanes = document.createDocumentFragment();
    board.lanes.forEach(function (l, n) {
      var s = el("section", "lane " + l.state), h = el("h3", "", l.name || (board.lanes.length > 1 ? "no wave" : "all"));
      s.setAttribute("aria-label", l.name || board.things);
      h.append(el("small", "", l.note || l.cards.filter(function (c) { return done[c.state]; }).length + " of " + l.cards.length + ", " + l.state));
      var ul = el("ul"), old = $("lanes").querySelectorAll("ul")[n];
      l.cards.forEach(function (c) { if (c.error && (c.state === "failed" || c.state === "refused")) errors.push(c); if (shown(c)) ul.append(card(c)); });
      s.append(h, ul); lanes.append(s);
      if (old) ul.dataset.top = old.scrollTop;
    });
    $("lanes").replaceChildren(lanes);
    $("lanes").querySelectorAll("ul").forEach(function (ul) { if (ul.dataset.top) ul.scrollTop = ul.dataset.top; });
    $("errors").hidden = errors.length === 0;
    $("error-list").replaceChildren.apply($("error-list"), errors.map(function (c) {
      var li = el("li"); li.append(el("p", "", c.system + ": " + c.error)); if (c.hint) li.append(el("p", "hint", c.hint)); return li;
    }));
    if (key) {
      var again = document.querySelector('.card[data-card="' + CSS.escape(key) + '"]');
      var b = again && again.querySelectorAll("button")[Math.max(0, at)];
      if (b) b.focus({ preventScroll: true });
    }
  }

  function log(c) {
    if (!live || board.over) return lines(c, c.log || []);
    fetch("log?card=" + encodeURIComponent(c.id)).then(function (r) { return r.json(); }).then(function (all) { lines(c, all); })
      .catch(function () { lines(c, [{ text: "it cannot be read now" }]); });
  }
  function lines(c, all) {
    put("log-title", "Log of " + c.system);
    $("log-lines").replaceChildren.apply($("log-lines"), all.length ? all.map(function (l) {
      return el("li", "", (l.time ? moment(l.time) + "  " : "") + l.text);
    }) : [el("li", "", "nothing yet")]);
    $("log").showModal();
  }

  function request(verb, id) {
    fetch("do?verb=" + verb + (id ? "&card=" + encodeURIComponent(id) : ""), { method: "POST", headers: { Authorization: "Bearer " + $("token").value } })
      .then(function (r) { return r.ok ? verb + ": done" : r.text(); }).then(function (text) { put("answer", text.trim()); })
      .catch(function () { put("answer", verb + ": the server does not answer"); });
  }

  $("filter").addEventListener("input", function () { query = this.value.trim().toLowerCase(); draw(); });
  document.querySelectorAll("#tools button").forEach(function (b) { b.addEventListener("click", function () { request(b.dataset.verb, ""); }); });
  document.addEventListener("keydown", function (e) {
    if (e.key === "/" && document.activeElement.tagName !== "INPUT") { e.preventDefault(); $("filter").focus(); }
  });

  draw();
  if (!live) return;
  function connect() {
    var es = new EventSource("events");
    es.addEventListener("board", function (e) {
      board = JSON.parse(e.data);
      if (board.over) es.close(); // who served this page is gone, and the page stays
      put("link", board.over ? "the end of the run" : "live");
      draw();
    });
    es.onerror = function () { put("link", "connection lost, trying again"); };
  }
  connect();
})();
