// Keeps the page up to date: asks for it again every few seconds and takes over what differs, so that the
// focus, a selection and the position stay. The switch on the page ends it; without this script the page is
// the same, and "Refresh" does it by hand.
(function () {
  "use strict";
  const pause = 5000; // milliseconds between an answer and the next question
  const key = "keep-up-to-date";
  const patience = 30000;
  const source = document.body.dataset.source;
  const place = document.getElementById("auto");
  const news = document.getElementById("news");
  if (!source || !place) {
    return;
  }
  const box = place.querySelector("input");
  let timer = 0;
  let asking = false;
  let failing = false;

  // The wish is kept where the browser allows it.
  function remembered() {
    try {
      return localStorage.getItem(key) !== "off";
    } catch (e) {
      return true;
    }
  }

  function remember(on) {
    try {
      localStorage.setItem(key, on ? "on" : "off");
    } catch (e) {
      // it counts for this page
    }
  }

  function say(text) {
    if (news.textContent !== text) {
      news.textContent = text;
    }
  }

  // A daemon that needs long to answer is asked less often.
  function plan(wait) {
    clearTimeout(timer);
    if (box.checked && !document.hidden) {
      timer = setTimeout(ask, wait);
    }
  }

  async function ask() {
    if (asking) {
      return;
    }
    asking = true;
    const began = performance.now();
    try {
      const answer = await fetch(source, { cache: "no-store", redirect: "error", signal: AbortSignal.timeout(patience) });
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!answer.ok) {
        throw new Error(answer.status);
      }
      if (box.checked) {
        takeOver(next);
      }
    } catch (e) {
      failing = true;
      say("No answer. What you see may be out of date; the next try follows.");
    }
    asking = false;
    plan(Math.max(pause, 20 * (performance.now() - began)));
  }

  function takeOver(next) {
    const daemon = next.getElementById("daemon");
    if (daemon) {
      document.getElementById("daemon").textContent = daemon.textContent;
    }
    const changed = takePrograms(next).concat(takeLog(next));
    if (changed.length > 3) {
      say(changed.length + " programs have changed.");
    } else if (changed.length > 0) {
      say(changed.join(", ") + ".");
    } else if (failing) {
      say("Up to date again.");
    }
    failing = false;
  }

  // takePrograms returns what there is to tell.
  function takePrograms(next) {
    const here = document.getElementById("programs");
    const there = next.getElementById("programs");
    if (!here || !there) {
      return [];
    }
    const body = here.querySelector("tbody");
    const other = there.querySelector("tbody");
    if (!body || !other) {
      if (body || other) {
        here.replaceChildren(...there.childNodes);
      }
      return [];
    }
    const told = [];
    const wanted = new Map(Array.from(other.rows, function (r) { return [r.dataset.name, r]; }));
    const known = new Map();
    for (const row of Array.from(body.rows)) {
      if (wanted.has(row.dataset.name)) {
        known.set(row.dataset.name, row);
      } else {
        told.push(row.dataset.name + " is gone");
        row.remove();
      }
    }
    let at = body.firstElementChild;
    for (const [name, fresh] of wanted) {
      const row = known.get(name);
      if (!row) {
        told.push(name + " is new");
        body.insertBefore(document.importNode(fresh, true), at);
        continue;
      }
      if (takeRow(row, fresh)) {
        told.push(name + " is " + fresh.cells[0].textContent.trim());
      }
      if (row === at) {
        at = at.nextElementSibling;
      } else {
        body.insertBefore(row, at);
      }
    }
    return told;
  }

  // takeRow says whether the state has changed.
  function takeRow(row, fresh) {
    const before = row.cells[0].textContent;
    row.className = fresh.className;
    for (let i = 0; i < row.cells.length; i++) {
      const cell = row.cells[i];
      if (cell.innerHTML === fresh.cells[i].innerHTML) {
        continue;
      }
      const items = Array.from(cell.querySelectorAll("li"));
      const focused = items.findIndex(function (li) { return li.contains(document.activeElement); });
      cell.replaceChildren(...Array.from(fresh.cells[i].childNodes, function (n) { return document.importNode(n, true); }));
      if (focused >= 0) {
        const control = cell.querySelectorAll("li")[focused].querySelector("a, button") || cell.querySelector("a, button");
        control.focus();
      }
    }
    return before !== row.cells[0].textContent;
  }

  // takeLog keeps the end in sight when it is in sight.
  function takeLog(next) {
    const here = document.getElementById("log");
    const there = next.getElementById("log");
    if (here && there && here.textContent !== there.textContent) {
      const atEnd = here.scrollTop + here.clientHeight >= here.scrollHeight - 4;
      here.textContent = there.textContent;
      here.className = there.className;
      if (atEnd) {
        here.scrollTop = here.scrollHeight;
      }
    }
    return [];
  }

  box.checked = remembered();
  place.hidden = false;
  box.addEventListener("change", function () {
    remember(box.checked);
    say(box.checked ? "" : "The page stays as it is.");
    plan(0);
  });
  document.addEventListener("visibilitychange", function () { plan(0); });
  const log = document.getElementById("log");
  if (log) {
    log.scrollTop = log.scrollHeight;
  }
  plan(pause);
})();
