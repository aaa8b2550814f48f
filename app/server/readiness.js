// Should this process get requests now?
const TIMEOUT_MS = 1500;

/** @returns `notReady()`: asks the database; `deaf()`: what is known without asking. Both: the reason, or null. */
export function createReadiness({ pool, relay, drain }) {
  let asking = null; // checks that come together share one question

  async function ask() {
    let timer;
    const late = new Promise((resolve) => {
      timer = setTimeout(() => resolve(`the database did not answer within ${TIMEOUT_MS} ms`), TIMEOUT_MS);
    });
    const answer = pool.query("SELECT 1").then(
      () => null,
      (error) => `the database cannot be reached (${error.code ?? error.message})`,
    );
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  function deaf() {
    if (drain.draining) return "the server is leaving";
    if (!relay.listening) return "the server does not hear from the database";
    return null;
  }

  return {
    deaf,
    async notReady() {
      if (drain.draining) return deaf();
      asking ??= ask().finally(() => (asking = null));
      return (await asking) ?? deaf();
    },
  };
}
