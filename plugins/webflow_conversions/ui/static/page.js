// What the pages do by themselves: count down, stay fresh, and lead to Airflow's own pages.
"use strict";

(() => {
  const SLOW_SECONDS = 5; // behind this, figures are said to be old

  // The countdown, by the server's clock: this machine's may be wrong.
  const countDown = () => {
    for (const shown of document.querySelectorAll("[data-countdown]")) {
      const skew = Number(shown.dataset.skew ?? (shown.dataset.skew = Date.parse(shown.dataset.now) - Date.now()));
      const left = Math.max(0, Math.round((Date.parse(shown.dataset.countdown) - Date.now() - skew) / 1000));
      const parts = [Math.floor(left / 3600), Math.floor(left / 60) % 60, left % 60];
      shown.textContent = parts.map((part) => String(part).padStart(2, "0")).join(":");
      shown.classList.toggle("soon", left < 3600);
    }
  };

  // Times in UTC; where the reader is, on asking.
  const localise = (root) => {
    for (const time of root.querySelectorAll("time[title]")) {
      const moment = new Date(time.dateTime);
      if (!Number.isNaN(moment.valueOf())) {
        time.title = `${time.title.split(" · ")[0]} · here ${moment.toLocaleString()}`;
      }
    }
  };

  // The page again, in place: what is open stays open, and the focus where it was.
  const focusable = "a[href], button, summary, input, select, [tabindex]";
  const replace = (main, fresh) => {
    const open = [...main.querySelectorAll("details")].map((one) => one.open);
    const place = [...main.querySelectorAll(focusable)].indexOf(document.activeElement);
    const said = main.querySelector("[data-status]")?.textContent.trim();
    main.replaceChildren(...fresh.childNodes);
    main.dataset.asOf = fresh.dataset.asOf;
    main.querySelectorAll("details").forEach((one, index) => (one.open = open[index] ?? false));
    if (place >= 0) {
      main.querySelectorAll(focusable)[place]?.focus({ preventScroll: true });
    }
    const says = main.querySelector("[data-status]")?.textContent.trim();
    if (says && says !== said) {
      document.getElementById("status").textContent = says;
    }
    drawn(main);
  };

  const drawn = (main) => {
    localise(main);
    countDown();
    document.dispatchEvent(new CustomEvent("fresh", { detail: main }));
  };

  const say = (text, isTrouble) => {
    const freshness = document.getElementById("freshness");
    if (freshness) {
      freshness.textContent = ` · ${text}`;
      freshness.classList.toggle("trouble", isTrouble);
    }
  };

  const main = document.getElementById("main");
  const seconds = Number(main?.dataset.refresh ?? 0);

  let isAsking = false;
  const refresh = async () => {
    if (isAsking) {
      say("waiting for an answer; these figures grow old", true);
      return;
    }
    if (document.hidden || main.contains(document.getSelection()?.anchorNode) && !document.getSelection().isCollapsed) {
      return;
    }
    isAsking = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (answer.ok) {
        replace(main, page.getElementById("main"));
        document.getElementById("band").replaceChildren(...page.getElementById("band").childNodes);
        say(`refreshes every ${seconds} s`, false);
      } else {
        say(page.querySelector("#main p:not(.eyebrow)")?.textContent ?? `Airflow answers with ${answer.status}`, true);
      }
    } catch {
      say("Airflow does not answer; these figures grow old", true);
    } finally {
      isAsking = false;
    }
  };

  if (main && seconds) {
    say(`refreshes every ${seconds} s`, false);
    setInterval(refresh, seconds * 1000);
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && Date.now() - Date.parse(main.dataset.asOf) > SLOW_SECONDS * 1000) {
        refresh();
      }
    });
  } else if (main?.dataset.reload) {
    setTimeout(() => location.reload(), Number(main.dataset.reload) * 1000);
  }

  // Airflow shows us in a frame that may not lead its window elsewhere; a link in Airflow's own document may.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-airflow]");
    if (!link || window.parent === window || event.button || event.ctrlKey || event.metaKey || event.shiftKey) {
      return;
    }
    const outer = window.parent.document.createElement("a");
    outer.href = link.href;
    event.preventDefault();
    window.parent.document.body.append(outer);
    outer.click();
    outer.remove();
  });

  // A link that copies itself; where the browser lets nothing be copied, it is a link like any other.
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-copy]");
    if (!link || !navigator.clipboard || event.button || event.ctrlKey || event.metaKey || event.shiftKey) {
      return;
    }
    event.preventDefault();
    try {
      await navigator.clipboard.writeText(link.href);
      link.textContent = link.dataset.copy;
      document.getElementById("status").textContent = link.dataset.copy;
    } catch {
      location.assign(link.href);
    }
  });

  if (main) {
    drawn(main);
    setInterval(countDown, 1000);
  }
})();
