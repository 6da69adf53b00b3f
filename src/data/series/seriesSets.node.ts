/** The series data sets by id: what each is, under which licence, its fixed splits, and how it is read. */
import { NextxError } from "../../tensor/errors.ts";
import { readDataFile } from "../dataFiles.node.ts";
import { Fnv64 } from "../hash.ts";
import type { DataHome } from "../homes.ts";
import { readSeriesTable } from "./csv.ts";
import { monthBorders, shareBorders } from "./splits.ts";
import { syntheticSeries } from "./synthetic.ts";
import type { Frequency, SeriesTable, SplitBorders } from "./types.ts";
import type { SeriesSource } from "./windows.ts";

/** One series data set. */
export interface SeriesSetEntry {
  readonly description: string;
  readonly licence: string;
  readonly frequency: Frequency;
  /** Rows of one season. */
  readonly season: number;
  /** Undefined for what is made on demand. */
  readonly home?: DataHome;
  borders(rows: number): SplitBorders;
}

const ett = (name: string, contentSha256: string): DataHome => ({
  folder: "ett",
  source: "https://github.com/zhouhaoyi/ETDataset (ETT-small), gzipped",
  files: [{ name: `${name}.csv.gz`, contentSha256 }],
});

const ettLicence = "CC BY-ND 4.0";

/** Ids of the series data sets. */
export type SeriesSetId = "etth1" | "etth2" | "ettm1" | "exchange" | "illness" | "waves";

/** All series data sets. */
export const seriesSets: Readonly<Record<SeriesSetId, SeriesSetEntry>> = {
  etth1: {
    description: "Load and oil temperature of an electricity transformer, 7 channels, hourly.",
    licence: ettLicence,
    frequency: "h",
    season: 24,
    home: ett("ETTh1", "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066"),
    borders: monthBorders(24),
  },
  etth2: {
    description: "The same of another transformer.",
    licence: ettLicence,
    frequency: "h",
    season: 24,
    home: ett("ETTh2", "a3dc2c597b9218c7ce1cd55eb77b283fd459a1d09d753063f944967dd6b9218b"),
    borders: monthBorders(24),
  },
  ettm1: {
    description: "The first transformer every 15 minutes.",
    licence: ettLicence,
    frequency: "t",
    season: 96,
    home: ett("ETTm1", "6ce1759b1a18e3328421d5d75fadcb316c449fcd7cec32820c8dafda71986c9e"),
    borders: monthBorders(96),
  },
  exchange: {
    description: "Exchange rates of eight countries, daily, 1990 to 2010.",
    licence: "none stated: figures only",
    frequency: "d",
    season: 7,
    home: {
      folder: "exchange-rate",
      source: "the data sets of Autoformer (exchange_rate.csv), gzipped",
      files: [
        {
          name: "exchange_rate.csv.gz",
          contentSha256: "d55e7aa2641009814a18ba3279431b13f6d413b0eab195b9ff21988d8cf94e97",
        },
      ],
    },
    borders: shareBorders,
  },
  illness: {
    description:
      "Patients with influenza-like illness in the United States, 7 channels, weekly, 2002 to 2020.",
    licence: "public domain",
    frequency: "w",
    season: 52,
    home: {
      folder: "illness",
      source: "the data sets of Autoformer (national_illness.csv)",
      files: [
        {
          name: "national_illness.csv",
          contentSha256: "8594cecb98c6f2f9dc014eca11c4d5d1e38ad5ce6ed0592d4abe65b146fce395",
        },
      ],
    },
    borders: shareBorders,
  },
  waves: {
    description:
      "Procedural: 7 channels with daily and weekly swings, a bending trend and noise with memory, hourly.",
    licence: "MIT",
    frequency: "h",
    season: 24,
    borders: shareBorders,
  },
};

/** Whether there is a series data set of this id. */
export const isSeriesSetId = (id: string): id is SeriesSetId => Object.hasOwn(seriesSets, id);

async function readTable(id: string, home: DataHome, dataRoot: string | undefined): Promise<SeriesTable> {
  if (dataRoot === undefined) {
    throw new NextxError("DATA_NO_ROOT", `${id} is read from files, but no data folder was given.`, {
      path: "dataRoot",
      hint: "Pass --data FOLDER or set NEXTX_DATA.",
    });
  }
  const name = home.files[0]?.name ?? "";
  return readSeriesTable(new TextDecoder().decode(await readDataFile(dataRoot, home, name)), name);
}

/** Opens a series data set. @throws NextxError DATA_UNKNOWN_SET, DATA_NO_ROOT, DATA_NOT_FOUND, CSV_ and SERIES_ codes */
export async function openSeries(id: string, dataRoot?: string): Promise<SeriesSource> {
  if (!isSeriesSetId(id)) {
    throw new NextxError("DATA_UNKNOWN_SET", `There is no series data set "${id}".`, {
      path: "data",
      hint: `Choose one of ${Object.keys(seriesSets).join(", ")}.`,
    });
  }
  const { home, frequency, season, borders } = seriesSets[id];
  const table = home ? await readTable(id, home, dataRoot) : syntheticSeries();
  const version = new Fnv64().update(new Uint8Array(table.values.buffer)).digest();
  return { id, version, table, frequency, season, borders: borders(table.timesMs.length) };
}
