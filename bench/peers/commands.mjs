// Commands on standard input, one a line, answers on standard output, one JSON object a line:
//   steps RUNS SECONDS    durable steps a second with so many runs at once
//   goback STEPS BACK_TO  going back to a step of a finished run of so many
import readline from "node:readline";

export const CHUNK = 50; // steps of one run, for `steps`

// Runs `one()`, a run of CHUNK steps, again and again in as many loops as runs at once.
export async function steps(runs, seconds, one) {
  const end = performance.now() + seconds * 1000;
  const begin = performance.now();
  let done = 0;
  await Promise.all(Array.from({ length: runs }, async () => {
    do {
      await one(CHUNK);
      done += CHUNK;
    } while (performance.now() < end);
  }));
  const took = (performance.now() - begin) / 1000;
  return { rate: done / took, done, seconds: took };
}

export async function serve(handlers) {
  const answer = (value) => process.stdout.write(JSON.stringify(value) + "\n");
  answer({ ready: true });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [name, ...rest] = line.trim().split(" ");
    if (name === "end") break;
    try {
      answer(await handlers[name](...rest.map(Number)));
    } catch (error) {
      answer({ error: String(error?.stack ?? error) });
    }
  }
}
