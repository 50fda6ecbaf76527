import { Duplex } from "node:stream";
import type WebSocket from "ws";

/**
 * A terminal's socket as a stream. LXD says "the command has ended" by an empty text message and then waits until the
 * client closes: without that the operation stays "Running" for ever (seen with 5.0.2). Incus does the same.
 */
export function socketStream(socket: WebSocket, signal: AbortSignal): Duplex {
  const stream = new Duplex({
    allowHalfOpen: false,
    read: () => {
      socket.resume();
    },
    write: (chunk: Buffer, _encoding, done) => {
      if (socket.readyState === socket.OPEN) socket.send(chunk, done);
      else done(); // it has ended; what is typed into the void is nobody's error
    },
    final: (done) => {
      done(); // a terminal has no half-closed state; hanging up is destroy()
    },
    destroy: (error, done) => {
      socket.terminate();
      done(error);
    },
  });
  socket.on("message", (data, binary) => {
    if (!binary) {
      stream.push(null);
      socket.close();
    } else if (!stream.push(asBuffer(data))) {
      socket.pause(); // the reader is slow: let the kernel hold it back
    }
  });
  const hangUp = () => {
    stream.destroy();
  };
  signal.addEventListener("abort", hangUp, { once: true });
  socket.once("close", () => {
    signal.removeEventListener("abort", hangUp);
    if (!stream.readableEnded) stream.push(null);
  });
  return stream;
}

function asBuffer(data: WebSocket.RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return Buffer.isBuffer(data) ? data : Buffer.from(data);
}
