"use strict";
// node reject.js URL…: what each upgrade leads to, as one JSON document.
const WebSocket = require("ws");

function outcome(url) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url);
    socket.on("unexpected-response", (request, response) => {
      const connection = response.socket;
      const type = response.headers["content-type"];
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => {
        const { status, detail } = JSON.parse(Buffer.concat(chunks));
        resolve([response.statusCode, type, status, detail]);
        connection.destroy(); // it would be kept for another request
      });
    });
    socket.on("message", (data) => {
      resolve(Object.keys(JSON.parse(data)));
      socket.close(1000);
    });
    socket.on("close", (code) => resolve(code));
    socket.on("error", (error) => resolve(error.message));
  });
}

async function main() {
  const outcomes = [];
  for (const url of process.argv.slice(2)) outcomes.push(await outcome(url));
  console.log(JSON.stringify(outcomes));
}

main();
