/** The shipped models that nextx begins with: SAR's, with the base it refined and its control. */
export const storyModels = {
  base: "flexvar-synth-32",
  control: "flexvar-continued-synth-32",
  refined: "sar-synth-32",
} as const;
export type StoryRole = keyof typeof storyModels;
