"use strict";
(() => {
  const root = document.documentElement;

  // The theme: that of the system, or one that was chosen for this page.
  const button = document.getElementById("theme");
  const themes = ["auto", "light", "dark"];
  const show = (theme) => {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    button.textContent = "Theme: " + theme;
  };
  let theme = "auto";
  // A page from a file may have no storage.
  try {
    theme = localStorage.getItem("metalsim-theme") ?? "auto";
  } catch {}
  if (!themes.includes(theme)) theme = "auto";
  show(theme);
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    show(theme);
    try {
      localStorage.setItem("metalsim-theme", theme);
    } catch {}
  });

  // Values at the place that somebody points at, or moves to with the arrow keys.
  const tip = document.getElementById("tip");
  const number = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
  const pair = (large, unit, small, smaller) =>
    small ? large + " " + unit + " " + small + " " + smaller : large + " " + unit;
  const duration = (ms) => {
    const s = Math.round(ms / 1000);
    if (1000 > ms) return number.format(ms) + " ms";
    if (60 > s) return number.format(ms / 1000) + " s";
    if (3600 > s) return pair(Math.floor(s / 60), "min", s % 60, "s");
    const min = Math.round(s / 60);
    if (1440 > min) return pair(Math.floor(min / 60), "h", min % 60, "min");
    const h = Math.round(min / 60);
    return pair(Math.floor(h / 24), "d", h % 24, "h");
  };
  const bytes = (size) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = 0;
    while (size >= 1024 ? units.length - 1 > unit : false) {
      size /= 1024;
      unit += 1;
    }
    return number.format(size) + " " + units[unit];
  };
  const format = { plain: (value) => number.format(value), bytes, millis: duration };
  const element = (name, style, text) => {
    const made = document.createElement(name);
    if (style) made.className = style;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const fill = (data, index) => {
    const from = index * data.length;
    const until = Math.min(from + data.length, data.end);
    tip.replaceChildren(element("b", "", (from > 0 ? duration(from) : "0") + " – " + duration(until)));
    let rows = 0;
    for (const one of data.series) {
      const value = one.values[index];
      // What is zero is left out: there may be dozens.
      if (value === null || value === 0) continue;
      const row = element("div", one.class);
      row.append(element("i", "box"), element("span", "", one.name), element("em", "", format[one.unit](value)));
      tip.append(row);
      rows += 1;
    }
    if (rows === 0) tip.append(element("div", "quiet", "nothing"));
  };

  for (const source of document.querySelectorAll('script[type="application/json"]')) {
    const data = JSON.parse(source.textContent);
    const plot = source.parentElement.querySelector("svg.plot");
    const cross = plot.querySelector(".cross");
    let index = -1;
    const hide = () => {
      tip.hidden = true;
      cross.classList.remove("on");
    };
    const move = (to, y) => {
      index = Math.max(0, Math.min(data.count - 1, to));
      const middle = Math.min((index + 0.5) * data.length, (index * data.length + data.end) / 2);
      const x = data.left + (middle / data.end) * (data.right - data.left);
      cross.setAttribute("x1", x);
      cross.setAttribute("x2", x);
      cross.classList.add("on");
      fill(data, index);
      tip.hidden = false;
      const box = plot.getBoundingClientRect();
      const at = box.left + (x / data.width) * box.width;
      const beside = at + 16 + tip.offsetWidth > innerWidth ? at - 16 - tip.offsetWidth : at + 16;
      const below = Math.min(y ?? box.top + 24, innerHeight - tip.offsetHeight - 8);
      tip.style.left = Math.max(8, beside) + "px";
      tip.style.top = Math.max(8, below) + "px";
    };
    plot.addEventListener("pointermove", (event) => {
      const box = plot.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * data.width;
      const part = (x - data.left) / (data.right - data.left);
      if (0 > part || part > 1) hide();
      else move(Math.floor((part * data.end) / data.length), event.clientY + 12);
    });
    plot.addEventListener("pointerleave", hide);
    plot.addEventListener("blur", hide);
    plot.setAttribute("tabindex", "0");
    plot.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
      if (event.key === "Escape") hide();
      if (event.key === "Home") move(0);
      if (event.key === "End") move(data.count - 1);
      if (step) move(index + step);
      if (step || event.key === "Home" || event.key === "End") event.preventDefault();
    });
  }
})();
