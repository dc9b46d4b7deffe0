// Line icons, drawn on 24 units; decoration only: what they mean is in the text or label beside them.

const PATHS = {
  expand: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  shrink: "M9 4v5H4M15 4v5h5M9 20v-5H4M15 20v-5h5",
  close: "M6 6l12 12M18 6L6 18",
  more: "M5 11.300a.7.7 0 1 0 0 1.400.7.7 0 0 0 0-1.400zM12 11.300a.7.7 0 1 0 0 1.400.7.7 0 0 0 0-1.400zM19 11.300a.7.7 0 1 0 0 1.400.7.7 0 0 0 0-1.400z",
  warn: "M12 4l9 16H3zM12 10v4M12 17h.01",
  wave: "M4 10v4M8 7v10M12 4v16M16 8v8M20 10v4",
  upload: "M12 16V4M7 9l5-5 5 5M4 20h16",
  mic: "M12 3a3 3 0 0 1 3 3v5a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3zM6 11a6 6 0 0 0 12 0M12 17v4",
  play: "M7 4l13 8-13 8z",
  pause: "M7 5v14M17 5v14",
  stop: "M6 6h12v12H6z",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5L21 21",
  list: "M4 6h16M4 12h16M4 18h16",
  layers: "M12 3l9 5-9 5-9-5zM3 13l9 5 9-5",
  captions: "M3 5h18v14H3zM7 15h4M13 15h4M7 11h2M11 11h6",
  book: "M4 5a2 2 0 0 1 2-2h13v16H6a2 2 0 0 0-2 2zM4 19V5",
  gear: "M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM12 2v3M12 19v3M4.9 4.9L7 7M17 17l2.1 2.1M2 12h3M19 12h3M4.9 19.1L7 17M17 7l2.1-2.1",
  moon: "M20 14A8 8 0 1 1 10 4a6.5 6.5 0 0 0 10 10z",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M4.2 4.2l1.4 1.4M18.4 18.4l1.4 1.4M2 12h2M20 12h2M4.2 19.8l1.4-1.4M18.4 5.6l1.4-1.4",
  globe: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM3 12h18M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18",
  user: "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4 21c0-4 4-6 8-6s8 2 8 6",
  download: "M12 4v12M7 11l5 5 5-5M4 20h16",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 14h10l1-14",
  tag: "M3 12V3h9l9 9-9 9zM7.5 7.5h.01",
  edit: "M4 20l1-5L16 4l4 4L9 19z",
  undo: "M9 14L4 9l5-5M4 9h10a6 6 0 0 1 0 12h-3",
  history: "M3 12a9 9 0 1 0 3-6.7L3 8M3 3v5h5M12 7v5l4 2",
  share: "M16 6l-4-4-4 4M12 2v13M5 11v9h14v-9",
  note: "M5 3h14v18l-7-4-7 4z",
  people:
    "M9 5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM2 20c0-3.5 3-5 7-5s7 1.5 7 5M16 5a3.5 3.5 0 0 1 0 7M18 15c3 .5 4 2.500 4 5",
  copy: "M8 8h12v12H8zM16 8V4H4v12h4",
  filter: "M3 5h18l-7 8v6l-4 2v-8z",
  check: "M4 12l6 6L20 6",
  plus: "M12 5v14M5 12h14",
  refresh: "M20 11A8 8 0 1 0 18 17M20 4v7h-7",
  back: "M15 5l-7 7 7 7",
  next: "M9 5l7 7-7 7",
  key: "M14 7a4 4 0 1 1-3.500 6L3 20v-4l6-6a4 4 0 0 1 5-3zM16 9h.01",
  gauge: "M4 18a9 9 0 1 1 16 0M12 14l4-5M12 14h.01",
  chart: "M4 4v16h16M8 16v-4M12 16V8M16 16v-6",
  box: "M3 8l9-5 9 5v8l-9 5-9-5zM3 8l9 5 9-5M12 13v8",
  up: "M12 19V5M6 11l6-6 6 6",
  down: "M12 5v14M6 13l6 6 6-6",
  minus: "M5 12h14",
  eye: "M2 12s3.500-6 10-6 10 6 10 6-3.500 6-10 6-10-6-10-6zM12 9.500a2.500 2.500 0 1 0 0 5 2.500 2.500 0 0 0 0-5z",
  rewind: "M11 6l-7 6 7 6zM20 6l-7 6 7 6z",
  forward: "M4 6l7 6-7 6zM13 6l7 6-7 6z",
  redo: "M15 14l5-5-5-5M20 9H10a6 6 0 0 0 0 12h3",
  folder: "M3 6h6l2 2h10v12H3z",
  menu: "M4 7h16M4 12h16M4 17h16",
  keyboard: "M3 6h18v12H3zM7 10h.01M11 10h.01M15 10h.01M7 14h10",
};

export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const made = document.createElementNS(space, "svg");
  made.setAttribute("viewBox", "0 0 24 24");
  made.setAttribute("class", "lt-icon");
  made.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", PATHS[name] || PATHS.more);
  made.append(path);
  return made;
}
