// A child of docs/protocol.md in another language: what a task gets is what it returns.
"use strict";
const fs = require("fs");

let buffer = Buffer.alloc(0);

function send(message) {
  const body = Buffer.from(JSON.stringify({ jsonrpc: "2.0", ...message }));
  let frame = Buffer.concat([Buffer.from(`Content-Length: ${body.length}\r\n\r\n`), body]);
  while (frame.length) frame = frame.subarray(fs.writeSync(1, frame));
}

// The body of the next frame, or null at the end of stdin.
function receive() {
  for (;;) {
    const end = buffer.indexOf("\r\n\r\n");
    if (end >= 0) {
      const size = Number(/content-length:\s*(\d+)/i.exec(buffer.subarray(0, end).toString())[1]);
      if (buffer.length >= end + 4 + size) {
        const body = buffer.subarray(end + 4, end + 4 + size).toString();
        buffer = buffer.subarray(end + 4 + size);
        return body;
      }
    }
    const piece = Buffer.alloc(65536);
    let count;
    try {
      count = fs.readSync(0, piece, 0, piece.length, null);
    } catch (error) {
      if (error.code === "EAGAIN") continue;
      if (error.code === "EOF") return null;
      throw error;
    }
    if (count === 0) return null;
    buffer = Buffer.concat([buffer, piece.subarray(0, count)]);
  }
}

function crc32(data) {
  let crc = ~0;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return ~crc >>> 0;
}

let loaded = false;

function answer(request) {
  const { method, params } = request;
  if (method === "initialize") {
    loaded = true;
    return { result: { protocol_version: params.protocol_version, wire: "node:echo" } };
  }
  if (method === "shutdown") return { result: null };
  if (method !== "execute") return { error: { code: -32601, message: `no method ${method}` } };
  if (!loaded) return { error: { code: -32600, message: "execute before initialize" } };
  const began = process.hrtime.bigint();
  const data = Buffer.from(JSON.stringify(params.params));
  const record = {
    name: "echo", size: data.length, crc32: crc32(data), data: data.toString("base64"),
  };
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  return { result: { outputs: [record], wall_seconds: seconds, cpu_seconds: seconds } };
}

send({
  method: "hello",
  params: {
    protocol_versions: [1],
    python: {
      implementation: "Node", version: process.env.CHILD_PYTHON_VERSION || "3.13.0",
      executable: process.execPath, prefix: "/", platform: "node", soabi: null,
    },
    pid: process.pid,
  },
});
for (let body; (body = receive()) !== null; ) {
  const request = JSON.parse(body);
  if (request.id === undefined) continue;
  send({ id: request.id, ...answer(request) });
  if (request.method === "shutdown") break;
}
