// stheno, the demo site: the panel that asks the server it came from. No libraries;
// nothing is fetched until you press a button.
"use strict";

document.documentElement.classList.add("js");

const THIN = "\u202f";
const number = (n) => String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, THIN);

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

if (location.protocol.startsWith("http")) {
  for (const node of document.querySelectorAll("[data-host]")) node.textContent = location.host;
  for (const node of document.querySelectorAll("[data-hostport]"))
    node.textContent = `${location.hostname} ${location.port || 80}`;
}

// ------------------------------------------------------------------ ask the server

function ask(root) {
  const out = root.querySelector("[data-wire]");
  const here = (path) => new URL(path, document.baseURI);
  let serial = 0;

  const cases = {
    200: async (x) => { await x.send("GET", "one%20byte.txt", {}, 200, "text"); },
    head: async (x) => { await x.send("HEAD", "img/gorgon.png", {}, 200, "none"); },
    304: async (x) => {
      const first = await x.send("HEAD", "style.css", {}, 200, "none");
      const tag = first.headers.get("etag");
      if (!tag) return x.remark("This server sent no ETag, so there is nothing to compare with.");
      x.gap();
      await x.send("GET", "style.css", { "If-None-Match": tag }, 304, "none");
    },
    206: async (x) => { await x.send("GET", "img/gorgon.png", { Range: "bytes=0-15" }, 206, "hex"); },
    ranges: async (x) => { await x.send("GET", "one%20byte.txt", { Range: "bytes=0-27,-34" }, 206, "text"); },
    404: async (x) => { await x.send("GET", "no-such-page.html", {}, 404, "text"); },
    416: async (x) => { await x.send("GET", "one%20byte.txt", { Range: "bytes=1000000-" }, 416, "text"); },
  };

  function sheet(ticket) {
    const put = (text, kind) => {
      if (ticket === serial) out.append(kind ? element("span", { class: kind }, text) : text);
    };
    return {
      remark: (text) => put(`\n${text}\n`, "c"),
      gap: () => put("\n\n"),
      async send(method, path, headers, expected, body) {
        const url = here(path);
        put(`${method} ${url.pathname}\n`, "q");
        for (const [name, value] of Object.entries(headers)) put(`${name}: ${value}\n`, "q");
        put("\n");
        const started = performance.now();
        const response = await fetch(url, { method, headers, cache: "no-store" });
        const bytes = new Uint8Array(await response.arrayBuffer());
        const took = performance.now() - started;
        put(`${response.status} ${response.statusText}\n`, "s");
        for (const [name, value] of response.headers) {
          put(name, "n");
          put(`: ${value}\n`);
        }
        put(`\n${bytes.length ? `${number(bytes.length)} bytes of body` : "no body"}, ${took.toFixed(1)} ms\n`, "q");
        if (bytes.length && body === "text") {
          const text = new TextDecoder().decode(bytes.subarray(0, 431));
          put(`\n${text.trimEnd()}${bytes.length > 431 ? "\n[and so on]" : ""}\n`);
        } else if (bytes.length && body === "hex") {
          put(`\n${[...bytes.subarray(0, 16)].map((b) => b.toString(16).padStart(2, "0")).join(" ")}\n`);
          if (bytes[1] === 80 && bytes[2] === 78 && bytes[3] === 71) put("the signature of a PNG file\n", "q");
        }
        if (response.status !== expected)
          this.remark(`This server answered ${response.status}; stheno answers ${expected}.`);
        return response;
      },
    };
  }

  for (const button of root.querySelectorAll("[data-ask]")) {
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", async () => {
      serial += 1;
      for (const other of root.querySelectorAll("[data-ask]"))
        other.setAttribute("aria-pressed", String(other === button));
      out.textContent = "";
      const x = sheet(serial);
      try {
        await cases[button.dataset.ask](x);
      } catch (error) {
        x.remark(location.protocol === "file:"
          ? "There is no server here: the page was opened from the disk."
          : `The request failed: ${error.message}`);
      }
    });
  }
}

for (const root of document.querySelectorAll("[data-ask-panel]")) ask(root);
