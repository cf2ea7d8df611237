/** Says of itself what it is told to, and answers nothing else: for versions of Redis that nobody has at hand. */
import { createServer, type Server } from "node:net";

export function infoServer(info: Readonly<Record<string, string>>): Server {
  const text = Object.entries(info)
    .map(([name, value]) => `${name}:${value}\r\n`)
    .join("");
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.setEncoding("utf8").on("data", (asked: string) => {
      // Commands come as "*2\r\n$4\r\nINFO\r\n...", several at once.
      for (const [, command = ""] of asked.matchAll(/\*\d+\r\n\$\d+\r\n([^\r]+)\r\n/g)) {
        const isInfo = command.toLowerCase() === "info";
        socket.write(isInfo ? `$${Buffer.byteLength(text)}\r\n${text}\r\n` : "-ERR unknown command\r\n");
      }
    });
  });
  return server;
}
