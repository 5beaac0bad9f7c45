/** Waits until `condition` holds, looking every 10 ms. @throws after `timeoutMs`, naming what was awaited */
export async function until(condition: () => boolean | Promise<boolean>, timeoutMs = 20_000): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${timeoutMs} ms: ${condition.toString().slice(0, 120)}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}
