/** When to start a server again that ended by itself, and when to give up. */

/** So many ends within {@link WINDOW} are too many. */
export const MAX_CRASHES = 5;
const WINDOW = 3 * 60 * 1000;
const FIRST_PAUSE = 250;

export type Decision = { restartAfter: number } | { giveUp: string };

/** Remembers when it happened. Times are in milliseconds. */
export class Crashes {
  private times: number[] = [];

  /** Says what to do about a crash at `now`: wait, longer each time, or give up. */
  decide(now: number): Decision {
    this.times = this.times.filter((time) => now - time < WINDOW);
    this.times.push(now);
    if (this.times.length >= MAX_CRASHES) {
      return { giveUp: `its server ended ${MAX_CRASHES} times within 3 minutes` };
    }
    return { restartAfter: FIRST_PAUSE * 2 ** (this.times.length - 1) };
  }

  /** The user wants another try. */
  forget(): void {
    this.times = [];
  }
}
