/** Form fields from the JSON Schema of a system's sampling settings. */

export interface Field {
  readonly name: string;
  readonly label: string;
  readonly help: string;
  readonly kind: "slider" | "integer" | "switch" | "choice" | "numbers" | "text";
  readonly min: number;
  readonly max: number;
  readonly step: number;
  readonly choices: readonly string[];
}

interface Property {
  readonly type?: string;
  readonly description?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly enum?: readonly string[];
}

const labels: Readonly<Record<string, string>> = {
  cfgScale: "Guidance",
  guidance: "Guidance rule",
  topK: "Top-k",
  topP: "Top-p",
};

/** Where a slider ends: schemas allow more than is useful to drag through. */
const softMax: Readonly<Record<string, number>> = { cfgScale: 8, temperature: 2 };

const order = ["cfgScale", "temperature", "topP", "topK"];

const words = (name: string): string => {
  const text = name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return text.charAt(0).toUpperCase() + text.slice(1);
};

function kindOf({ type, enum: choices }: Property): Field["kind"] | undefined {
  if (choices) return "choice";
  if (type === "number") return "slider";
  if (type === "integer") return "integer";
  if (type === "boolean") return "switch";
  if (type === "string") return "text";
  return type === "array" ? "numbers" : undefined;
}

/** Known settings first, then the system's own. */
export function fieldsOf(schema: Readonly<Record<string, unknown>>): Field[] {
  const properties = (schema.properties ?? {}) as Readonly<Record<string, Property>>; // JSON Schema of an object
  const rank = (name: string) => (order.includes(name) ? order.indexOf(name) : order.length);
  return Object.entries(properties)
    .flatMap(([name, property]): Field[] => {
      const kind = kindOf(property);
      if (kind === undefined) return [];
      const most = property.maximum ?? (kind === "integer" ? Number.MAX_SAFE_INTEGER : 100);
      const max = Math.min(most, softMax[name] ?? Number.POSITIVE_INFINITY);
      const { minimum: min = 0, description: help = "", enum: choices = [] } = property;
      const step = kind === "slider" ? (max <= 2 ? 0.01 : 0.1) : 1;
      return [{ name, label: labels[name] ?? words(name), help, kind, min, max, step, choices }];
    })
    .sort((a, b) => rank(a.name) - rank(b.name));
}

/** What was typed as a whole number within a field's bounds; 0, or what is nearest to it, for what is no number. */
export function boundedInteger({ min, max }: Pick<Field, "min" | "max">, value: number): number {
  return Math.min(max, Math.max(min, Math.floor(value) || 0));
}
