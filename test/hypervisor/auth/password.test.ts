import { expect, test } from "@jest/globals";
import { createPasswords, oneTimePassword } from "../../../hypervisor/auth/password.ts";
import { weakness } from "../../../hypervisor/auth/weakness.ts";
import { Secret } from "../../../lib/secret.ts";

const PASSWORD = "correct horse battery";

test("a hash is Argon2id with OWASP's parameters and a salt of its own", async () => {
  const passwords = createPasswords(undefined);
  const [first, second] = await Promise.all([passwords.hash(PASSWORD), passwords.hash(PASSWORD)]);

  expect(first).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}$/);
  expect(first).not.toBe(second);
  expect(await passwords.verify(PASSWORD, first)).toBe("right");
  expect(await passwords.verify(`${PASSWORD} `, first)).toBe("wrong");
});

test("the same characters in another form are the same password", async () => {
  const passwords = createPasswords(undefined);
  const hash = await passwords.hash("\u00e9clair au caf\u00e9");

  expect(await passwords.verify("e\u0301clair au cafe\u0301", hash)).toBe("right");
});

test("without the pepper a stolen table opens nothing", async () => {
  const hash = await createPasswords(new Secret("pepper")).hash(PASSWORD);

  expect(await createPasswords(undefined).verify(PASSWORD, hash)).toBe("wrong");
  expect(await createPasswords(new Secret("pepper")).verify(PASSWORD, hash)).toBe("right");
});

test("a hash of cheaper parameters is right, and to be made anew", async () => {
  // By the command argon2 of the reference implementation: echo -n "password1234" | argon2 somesalt12345678 -id -t 1 -k 64 -p 1 -e
  const { argon2Sync } = await import("node:crypto");
  const salt = Buffer.from("somesalt12345678");
  const parameters = { memory: 64, passes: 1, parallelism: 1, tagLength: 32, nonce: salt };
  const tag = argon2Sync("argon2id", { message: PASSWORD, ...parameters });
  const unpadded = (bytes: Buffer) => bytes.toString("base64").replace(/=+$/, "");
  const old = `$argon2id$v=19$m=64,t=1,p=1$${unpadded(salt)}$${unpadded(tag)}`;

  expect(await createPasswords(undefined).verify(PASSWORD, old)).toBe("rehash");
});

test.each([null, "", "$2b$10$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=x,t=2,p=1$a$b"])(
  "the hash %j is nobody's password",
  async (hash) => {
    expect(await createPasswords(undefined).verify("", hash)).toBe("wrong");
  },
);

test("a hundred logins at once do not take all memory: who would wait too long is told to come again", async () => {
  const passwords = createPasswords(undefined);

  const ends = await Promise.allSettled(
    Array.from({ length: 40 }, async () => passwords.verify(PASSWORD, null)),
  );

  expect(ends.filter(({ status }) => status === "fulfilled").length).toBe(34); // 2 at work, 32 in line
  expect(ends.find((end) => end.status === "rejected")).toMatchObject({ reason: { status: 503 } });
  expect(await passwords.verify(PASSWORD, null)).toBe("wrong"); // the line has gone on
});

test.each([
  ["elevenchars", "ana", /12 to 128/],
  ["x".repeat(129), "ana", /12 to 128/],
  ["i am ana-maria!!", "ana-maria", /user's name/],
  ["abababababab", "ana", /again and again/],
  ["Password1234", "ana", /everybody tries/],
  ["administrator1", "ana", /everybody tries/],
  ["qwertyuiop12", "ana", /everybody tries/],
  ["1qaz2wsx3edc", "ana", /everybody tries/],
  ["P@ssw0rd123456", "ana", /everybody tries/],
  ["Liverpool2026", "ana", /everybody tries/],
  ["monkeydragon1", "ana", /everybody tries/],
  ["sonyericsson", "ana", /everybody tries/],
  ["abcdefghijklmnop", "ana", /everybody tries/],
  ["hypervisor2026", "ana", /everybody tries/],
  ["I like Jones.Ana!", "ajones", /e-mail address/],
  ["\uff21\uff2e\uff21-\uff2d\uff21\uff32\uff29\uff21 writes", "ana-maria", /user's name/],
])("%s is too weak", (password, username, problem) => {
  expect(weakness(password, { username, email: "jones.ana@example.com" })).toMatch(problem);
});

test("a password that takes long to look at takes a moment only", () => {
  const started = performance.now();

  for (const part of ["p@$$w0rd!|1", "4@8({[<369!1|0$5+7%2", "1qaz2wsx", "1/1/2011"])
    weakness(part.repeat(16).slice(0, 128), { username: "ana" });

  expect(performance.now() - started).toBeLessThan(20_000); // some 0.3 s; unbounded it grows with the square
});

test.each([
  "correct horse battery",
  "лошадь и две телеги",
  "neuf chevaux verts",
  "all lower case and long",
  oneTimePassword(),
])("%s will do", (password) => {
  expect(weakness(password, { username: "ana", email: "ana@example.com" })).toBeUndefined();
});
