/** A measurable goal of the server, and what was measured. */
export interface Goal {
  readonly id: string;
  /** What has to hold. */
  readonly text: string;
  readonly holds: boolean;
  readonly figures: Readonly<Record<string, number | string | boolean>>;
}

/** Sizes of the loads; a trial takes a minute and proves nothing. */
export interface LoadSize {
  readonly clients: number;
  readonly overloadMs: number;
  readonly cancels: number;
  readonly halfOpen: number;
  readonly slowBodies: number;
  readonly normalRequests: number;
  readonly jobs: number;
}

export const fullLoad: LoadSize = {
  ...{ clients: 1000, overloadMs: 300_000, cancels: 10_000 },
  ...{ halfOpen: 500, slowBodies: 100, normalRequests: 500, jobs: 50 },
};

export const trialLoad: LoadSize = {
  ...{ clients: 200, overloadMs: 10_000, cancels: 30 },
  ...{ halfOpen: 100, slowBodies: 20, normalRequests: 10, jobs: 10 },
};

/** A value below which a share of the others lies; 0 of nothing. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

/** Two digits after the point, for reports. */
export const rounded = (value: number): number => Math.round(value * 100) / 100;
