// Looks at a report in a browser as a person would, and leaves what it has found in the page.
window.addEventListener("load", () => {
  const found = { errors: window.complaints, odd: [], overlaps: [], outside: [], faint: [], empty: [], tips: [], marks: {} };
  const say = (element) => element.textContent.trim().slice(0, 60);

  // Numbers that are none.
  for (const element of document.querySelectorAll("svg *")) {
    for (const attribute of element.attributes) {
      if (/NaN|undefined|Infinity|null/.test(attribute.value)) found.odd.push(attribute.name + "=" + attribute.value);
    }
  }

  // Texts over other texts, and over the edge of their drawing.
  const apart = (boxes) => {
    boxes.sort((one, other) => one.box.top - other.box.top);
    boxes.forEach((one, place) => {
      for (const other of boxes.slice(place + 1)) {
        if (other.box.top >= one.box.bottom - 1.5) break;
        const wide = Math.min(one.box.right, other.box.right) - Math.max(one.box.left, other.box.left);
        if (wide > 1) found.overlaps.push(one.text + " | " + other.text);
      }
    });
  };
  for (const plot of document.querySelectorAll("svg.plot")) {
    const edge = plot.getBoundingClientRect();
    const texts = [...plot.querySelectorAll("text")].map((element) => ({
      text: say(element),
      box: element.getBoundingClientRect(),
    }));
    if (texts.length === 0) found.empty.push(plot.id);
    apart(texts);
    for (const { text, box } of texts) {
      if (edge.left - 1 > box.left || box.right > edge.right + 1 || box.bottom > edge.bottom + 1) found.outside.push(text);
    }
    found.marks[plot.id] = [...plot.querySelectorAll(".area, .line, .bar, .bars, .hits, .window, .dot")].filter((mark) => {
      const box = mark.getBBox();
      return box.width > 0 || box.height > 0;
    }).length;
  }
  const pieces = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const parent = node.parentElement;
    if (!node.textContent.trim() || parent.closest("svg, script, .hidden, [hidden]")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) pieces.push({ text: say(parent), box });
  }
  apart(pieces);

  // Texts that are hard to read on their ground.
  const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = (colour) => {
    const [red, green, blue] = channels(colour).map((value) =>
      value / 255 > 0.04045 ? ((value / 255 + 0.055) / 1.055) ** 2.4 : value / 255 / 12.92,
    );
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if ((channels(colour)[3] ?? 1) > 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const look = () => {
    for (const element of document.querySelectorAll("h1, h2, h3, p, dt, dd, th, td, li, span, b, button, text")) {
      // What has an outline of its own is readable on any ground.
      if (!element.textContent.trim() || element.matches(".on-area")) continue;
      const style = getComputedStyle(element);
      const colours = [light(element.matches("text") ? style.fill : style.color), light(ground(element))];
      const contrast = (Math.max(...colours) + 0.05) / (Math.min(...colours) + 0.05);
      if (4.5 > contrast) found.faint.push(say(element) + ": " + contrast.toFixed(1));
    }
  };
  const button = document.getElementById("theme");
  found.button = button.hidden ? "hidden" : button.textContent;
  found.grounds = [];
  for (const _ of ["auto", "light", "dark"]) {
    look();
    found.grounds.push([button.textContent, light(getComputedStyle(document.documentElement).backgroundColor) > 0.5]);
    button.click();
  }

  // What is told where somebody points or moves to.
  const tip = document.getElementById("tip");
  for (const plot of document.querySelectorAll("svg.plot[tabindex]")) {
    const box = plot.getBoundingClientRect();
    for (const part of [0.2, 0.5, 0.94]) {
      plot.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left + box.width * part, clientY: box.top + 50 }));
      found.tips.push(tip.hidden ? "hidden" : tip.textContent);
    }
    for (const key of ["Home", "ArrowRight", "End", "PageUp"]) {
      plot.dispatchEvent(new KeyboardEvent("keydown", { key }));
      found.tips.push(tip.hidden ? "hidden" : tip.textContent);
    }
    plot.dispatchEvent(new PointerEvent("pointerleave"));
  }
  found.tipStays = !tip.hidden;

  const left = document.createElement("pre");
  left.id = "found";
  // Without characters that the dump would escape.
  left.textContent = btoa(unescape(encodeURIComponent(JSON.stringify(found))));
  document.body.append(left);
});
