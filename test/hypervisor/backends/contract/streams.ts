import { text } from "node:stream/consumers";
import { expect, test } from "@jest/globals";
import { at, kindOf, LIMIT_MS, until, watch, type Subject } from "./subject.ts";

// eslint-disable-next-line jest/no-export -- the same tests run on several backends
export function streamsContract(subject: Subject): void {
  test(
    "opens a terminal that echoes, knows its size, is resized, and tells the exit code",
    async () => {
      await subject.running("shell");
      const open = { ...at("shell"), columns: 91, rows: 17, command: ["sh"] };
      const terminal = await subject.backend().terminals.open(open);
      const screen = watch(terminal);

      terminal.stream.write("stty size\n");
      await screen.shows(/stty size[^]*17 91/);
      await terminal.resize({ columns: 132, rows: 43 });
      await screen.retype("stty size\n", /43 132/);
      terminal.stream.write("exit 3\n");

      expect(await terminal.exitCode).toBe(3);
      const greeted = await subject.backend().terminals.open({
        ...open,
        command: ["sh", "-c", `echo $GREETING${subject.given().lingers ?? ""}`],
        environment: { GREETING: "hello" },
      });
      expect((await text(greeted.stream)).trim()).toBe("hello");
      await subject.backend().containers.act({ ...at("shell"), action: "stop", graceSeconds: 1 });
      expect(await kindOf(subject.backend().terminals.open(open))).toBe("conflict");
      await subject.remove("shell");
    },
    LIMIT_MS,
  );

  test(
    "hangs a terminal up when its caller goes, and its command ends",
    async () => {
      await subject.running("gone");
      const caller = new AbortController();
      const open = { ...at("gone"), columns: 80, rows: 24, command: ["sh"] };
      const terminal = await subject.backend().terminals.open(open, { signal: caller.signal });
      const closed = new Promise<void>((resolve) => terminal.stream.once("close", resolve));
      const screen = watch(terminal);
      terminal.stream.write("echo $$ > /tmp/shell\nstty size\n");
      await screen.shows(/24 80/);

      caller.abort();

      await closed;
      const left = "[ -d /proc/$(cat /tmp/shell) ] && echo there; true";
      await until(async () => (await subject.printed("gone", left)) !== "there");
      expect(terminal.stream.destroyed).toBe(true);
      await subject.remove("gone");
    },
    LIMIT_MS,
  );

  test(
    "reads the newest lines of a log, and follows what comes, each line once",
    async () => {
      await subject.running("chatty");
      await subject.shell("chatty", `echo first > ${subject.given().console}`);
      await until(async () => (await subject.lines("chatty", 10)).includes("first"));
      expect(await subject.lines("chatty", 1)).toEqual(["first"]); // also when somebody has read it before
      const caller = new AbortController();
      const request = { ...at("chatty"), tail: 1, follow: true };
      const stream = await subject.backend().logs.read(request, { signal: caller.signal });
      const seen: string[] = [];
      const reading = (async () => {
        for await (const { text } of stream) {
          seen.push(text);
          if (text === "last") break;
        }
      })();

      for (const word of ["again", "again", "last"]) {
        await subject.shell("chatty", `echo ${word} > ${subject.given().console}`);
      }
      await reading;

      expect(seen).toEqual(["first", "again", "again", "last"]);
      expect((await subject.lines("chatty", 2)).slice(-2)).toEqual(["again", "last"]);
      expect(await subject.lines("chatty", 0)).toEqual([]);
      await subject.remove("chatty");
    },
    LIMIT_MS,
  );

  test(
    "ends a followed log when the container stops",
    async () => {
      await subject.running("ending");
      const stream = await subject.backend().logs.read({ ...at("ending"), tail: 0, follow: true });
      const reading = (async () => {
        for await (const { text } of stream) text.trim();
        return "ended";
      })();

      await subject.backend().containers.act({ ...at("ending"), action: "stop", graceSeconds: 1 });

      expect(await reading).toBe("ended");
      await subject.remove("ending");
    },
    LIMIT_MS,
  );
}
