// Shows /api/v1/events. What visitors sent is only ever set as text.
"use strict";

const KEPT = 200;
const at = (id) => document.getElementById(id);
const rows = at("requests");
let paused = false;
let waiting = [];
let tunnels = 0;
let opened = 0;
let missed = 0;
let counted = [0, 0];

const element = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

const size = (bytes) => {
  if (bytes < 1000) return `${bytes} B`;
  for (const unit of ["kB", "MB", "GB"]) {
    bytes /= 1000;
    if (bytes < 999.95) return `${bytes.toFixed(1)} ${unit}`;
  }
  return `${(bytes / 1000).toFixed(1)} TB`;
};

const took = (ms) => {
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${ms.toFixed(0)} ms`;
  return `${(ms / 1000).toFixed(1)} s`;
};

const row = (request, isFresh) => {
  const made = element("tr", isFresh ? "fresh" : "");
  const cell = (className, text) => made.append(element("td", className, text));
  const time = new Date(request.time);
  cell("time", time.toLocaleTimeString());
  made.lastChild.title = time.toISOString();
  cell("method", request.method);
  cell("path", request.path);
  made.lastChild.title = `request ${request.id}`;
  const status = element("td", "status", request.status ?? "–");
  if (request.status) status.classList.add(`s${Math.floor(request.status / 100)}`);
  if (request.outcome === "failed") status.append(element("span", "failed", request.error));
  if (request.outcome === "visitor-left") status.append(element("span", "s4", "visitor left"));
  made.append(status);
  cell("number", took(request.ms));
  cell("number", size(request.received));
  cell("number", size(request.sent));
  cell("tunnel", request.tunnel);
  made.lastChild.hidden = tunnels < 2;
  return made;
};

const show = (requests, isFresh) => {
  for (const request of requests.slice(-KEPT)) rows.prepend(row(request, isFresh));
  while (rows.children.length > KEPT) rows.lastChild.remove();
  at("empty").hidden = rows.children.length > 0;
};

const isLink = (url) => /^https?:\/\//.test(url);

const link = (url, className) => {
  if (!isLink(url)) return element("span", className, url);
  const made = element("a", className, url);
  made.href = url;
  made.target = "_blank";
  made.rel = "noopener noreferrer";
  return made;
};

const tunnel = (one) => {
  const made = element("li");
  one.urls.forEach((url, index) => made.append(link(url, index ? "also" : "")));
  if (!one.urls.length) made.append(element("span", "quiet", `${one.tunnel} is not online yet`));
  else if (tunnels > 1) made.append(element("span", "also quiet", one.tunnel));
  if (one.waiting_for) made.append(element("div", "note", `Waiting for ${one.waiting_for}: visitors get 502 meanwhile.`));
  if (one.refused) made.append(element("div", "note", `Refused: ${one.refused}`));
  return made;
};

const fact = (name, value) => {
  const made = element("div");
  made.append(element("dt", "", name), element("dd", "", value));
  return made;
};

const state = (className, text) => {
  if (at("state").textContent === text) return;
  at("state").className = `state ${className}`;
  at("state").textContent = text;
};

const stand = (now) => {
  if (now.draining) state("", "draining");
  else if (now.online) state("online", "online");
  else state("", now.session ? "offline" : "connecting");
  tunnels = now.tunnels.length;
  at("tunnel-title").hidden = tunnels < 2;
  for (const cell of rows.querySelectorAll("td.tunnel")) cell.hidden = tunnels < 2;
  at("tunnels").replaceChildren(...now.tunnels.map(tunnel));
  const facts = [];
  if (now.relay) facts.push(fact("Relay", now.relay));
  if (now.rtt_ms !== null) facts.push(fact("Round trip", took(now.rtt_ms)));
  if (now.session) facts.push(fact("Session", now.session));
  facts.push(fact(now.online ? "Online since" : "Offline since", new Date(now.since).toLocaleTimeString()));
  if (now.counts.sessions > 1) facts.push(fact("Sessions", now.counts.sessions));
  if (now.counts.migrations) facts.push(fact("Network changes survived", now.counts.migrations));
  at("facts").replaceChildren(...facts);
  const { requests, failed } = now.counts;
  count(requests, failed);
};

const count = (requests, failed) => {
  counted = [requests, failed];
  const parts = requests ? [`${requests} so far`] : [];
  if (failed) parts.push(`${failed} failed`);
  if (missed) parts.push(`${missed} too fast to be shown`);
  at("count").textContent = parts.join(", ");
};

const pause = at("pause");
pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", paused);
  pause.textContent = paused ? "Resume" : "Pause";
  if (!paused) show(waiting.splice(0), false);
});

const source = new EventSource("/api/v1/events");
// Each connection begins with the requests that are kept.
source.addEventListener("open", () => {
  rows.replaceChildren();
  waiting = [];
  opened = performance.now();
});
source.addEventListener("status", (event) => stand(JSON.parse(event.data)));
source.addEventListener("event", (event) => {
  const happened = JSON.parse(event.data);
  if (happened.event !== "request") return;
  const isFresh = performance.now() - opened > 500;
  if (isFresh) count(counted[0] + 1, counted[1] + (happened.outcome === "failed" ? 1 : 0));
  if (paused) waiting = [...waiting.slice(1 - KEPT), happened];
  else show([happened], isFresh);
});
source.addEventListener("missed", (event) => { missed += Number(event.data); });
source.addEventListener("error", () => state("lost", "agent is gone"));
