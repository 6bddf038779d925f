// Draws the terminal of the device: bytes go both ways through the WebSocket, and each page has a session of its own.
"use strict";

// As device-session has it.
const COLUMNS = 110;
const ROWS = 32;
// What a letter of this font takes of its size, in width and in height.
const WIDE = 0.61;
const HIGH = 1.25;

const byId = (id) => document.getElementById(id);
const terminal = new Terminal({
  cols: COLUMNS,
  rows: ROWS,
  cursorBlink: true,
  fontFamily: '"DejaVu Sans Mono", ui-monospace, Menlo, Consolas, monospace',
  fontSize: size(),
  screenReaderMode: true,
  theme: { background: "#16191d", foreground: "#e8ecf0" },
});
let socket = null;

function size() {
  const fits = Math.min(innerWidth / (COLUMNS * WIDE), (innerHeight - 60) / (ROWS * HIGH));
  return Math.max(6, Math.min(18, Math.floor(fits)));
}

function connect() {
  const address = new URL("websockify", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  socket = new WebSocket(address, ["binary"]);
  socket.binaryType = "arraybuffer";
  socket.addEventListener("open", () => tell("Connected.", false));
  socket.addEventListener("message", ({ data }) => terminal.write(new Uint8Array(data)));
  socket.addEventListener("close", () => tell("The session has ended.", true));
}

function tell(text, ended) {
  byId("state").textContent = text;
  byId("again").hidden = !ended;
  (ended ? byId("again") : terminal).focus();
}

function send(bytes) {
  if (socket.readyState === WebSocket.OPEN) {
    socket.send(bytes);
  }
}

terminal.open(byId("terminal"));
terminal.onData((text) => send(new TextEncoder().encode(text)));
terminal.onBinary((text) => send(Uint8Array.from(text, (sign) => sign.charCodeAt(0))));
byId("again").addEventListener("click", () => {
  terminal.reset();
  connect();
});
addEventListener("resize", () => (terminal.options.fontSize = size()));
connect();
