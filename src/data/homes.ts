/**
 * Where the packed data sets come from and what their files hold: names, SHA-256 sums, and, where the files have a public
 * home, the address. Plain data, so that listing and downloading sets needs no code of theirs.
 */

/** One file of a data set. */
export interface DataFile {
  readonly name: string;
  /** SHA-256 of the bytes; of the unpacked bytes when the name ends in .gz, because packing differs between programs. */
  readonly contentSha256: string;
  /** The file as its home serves it, when it has one: size and SHA-256 as sent, below the set's `baseUrl`. */
  readonly download?: { readonly sizeBytes: number; readonly sha256: string };
}

/** Where a data set comes from. */
export interface DataHome {
  /** Folder below the data root. */
  readonly folder: string;
  /** Where to get it, for people. */
  readonly source: string;
  /** Address that the names of files with `download` are appended to. */
  readonly baseUrl?: string;
  /** What to do when it cannot be downloaded as it is. */
  readonly instead?: string;
  /** The files that are read, in the order of reading. */
  readonly files: readonly DataFile[];
}

const packed = (folder: string, own: string): string =>
  `These files were packed from single pictures and have no public home: copy the folder "${folder}" from somebody who has it. ${own}`;

/** Homes by data set. */
export const dataHomes = {
  // Sums as sent: TensorFlow Datasets, url_checksums/fashion_mnist.txt.
  "fashion-mnist": {
    folder: "fashion-mnist",
    source: "https://github.com/zalandoresearch/fashion-mnist (data/fashion, four .gz files)",
    baseUrl:
      "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/",
    files: [
      {
        name: "train-images-idx3-ubyte.gz",
        contentSha256: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        download: {
          sizeBytes: 26_421_880,
          sha256: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        },
      },
      {
        name: "train-labels-idx1-ubyte.gz",
        contentSha256: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        download: {
          sizeBytes: 29_515,
          sha256: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        },
      },
      {
        name: "t10k-images-idx3-ubyte.gz",
        contentSha256: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        download: {
          sizeBytes: 4_422_102,
          sha256: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        },
      },
      {
        name: "t10k-labels-idx1-ubyte.gz",
        contentSha256: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        download: {
          sizeBytes: 5_148,
          sha256: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
      },
    ],
  },
  tiles: {
    folder: "dcss-tiles-32",
    source:
      "https://github.com/crawl/tiles (releases/Nov-2015, packed as strips of 32 px tiles with labels.tsv)",
    instead: packed(
      "dcss-tiles-32",
      "Or clone https://github.com/crawl/tiles and train with --data-set folder --data tiles/releases/Nov-2015.",
    ),
    files: [
      {
        name: "labels.tsv",
        contentSha256: "4ded9bf21d2e71f0f50a101235d590635f2dfdf9ea2c24a556bfcf47ced612fc",
      },
      {
        name: "tiles-0.png",
        contentSha256: "af951d3d03b581db66b565d347a1e63a4e96f0f0460d03859526cf50819c7c6c",
      },
      {
        name: "tiles-1.png",
        contentSha256: "e1be122efd185cbc34d0cf1d1d4e8591be7155f35cd717c9a8dad02b00303ff5",
      },
      {
        name: "tiles-2.png",
        contentSha256: "9a1297cd861da24b31c97db4f5de3c83d372e86392955559ae1c7618b2189fa8",
      },
      {
        name: "tiles-3.png",
        contentSha256: "b637909623f84f4fd335020bd7211f9ce12e93f258b2c74d47d72b64de1e27a7",
      },
    ],
  },
  cifar10: {
    folder: "cifar10",
    source:
      "https://github.com/cyizhuo/CIFAR-10-dataset (a balanced part of train and test, packed as strips of 1,000)",
    instead: packed(
      "cifar10",
      "Or clone https://github.com/cyizhuo/CIFAR-10-dataset and train with --data-set folder --data CIFAR-10-dataset/train.",
    ),
    files: [
      {
        name: "train-00.png",
        contentSha256: "0d8de54e9e6c87abe2d6fb0cf5d58dfc5d0a9909eadc34a9f16a18fe1432a0d4",
      },
      {
        name: "train-01.png",
        contentSha256: "2c95edad380dfb6630cddda462bf4c5dbf5d00e011573378a3a235806f47810f",
      },
      {
        name: "train-02.png",
        contentSha256: "9418e917a5dfa56f422f3a0c483303717d17a52b7874bf88fe4c18c5c61b869f",
      },
      {
        name: "train-03.png",
        contentSha256: "032ec8267ac3820673ed6809075f6b8aacd857535c3188381c15693dd828e8a9",
      },
      {
        name: "train-04.png",
        contentSha256: "0e82d08ef58c2a8d73d0dc625a7df081f47a13f459304f78ca2e2b81c56494ab",
      },
      {
        name: "train-05.png",
        contentSha256: "9afdbc953db8a42371c23e9974cb77f2f375ce923074c0e6679e29ac91b4d7ae",
      },
      {
        name: "train-06.png",
        contentSha256: "e14aeb790c906e5e22b886b8b24630bfda9c9c6ec6583ecdb800740e21fce033",
      },
      {
        name: "train-07.png",
        contentSha256: "8e7507152a6fdd2da5e6b23697714c4b1fec00ebb67a3e7fb7c0b21cb006bb39",
      },
      {
        name: "train-08.png",
        contentSha256: "223c5c150d136accbece0c85fadf48a2ad9f7c91c512ad12c2c71241a4c5cdfb",
      },
      {
        name: "train-09.png",
        contentSha256: "d4e9b05aad430f292a2115c59794e2265695ebbd61f92a3c9cfc069585c689e9",
      },
      {
        name: "train-labels.u8",
        contentSha256: "24fe281f8827d956bc7275458538e08f822e4bd5a5ce91bd430828490d20fa20",
      },
      {
        name: "test-00.png",
        contentSha256: "ed8dfa06bfb103a1788c1284eced35a739e9c6ac0787ccb29a8d15b08a009c16",
      },
      {
        name: "test-01.png",
        contentSha256: "bd9bcc52525f7347399b449797ad948ba8faa2a048bad411598b174061d93d02",
      },
      {
        name: "test-02.png",
        contentSha256: "99706f488b2a0be3f773c7cd7c0bc733af74abf9fb53e1f52b9395c7bed43d18",
      },
      {
        name: "test-03.png",
        contentSha256: "944ff973e9a6196699376c03087f8361232f133391a56e834ecc07a21c614e45",
      },
      {
        name: "test-04.png",
        contentSha256: "302a24362895e242d02ae8a3d1f87a18a503e5c19bc1ca22678614dfb14c7979",
      },
      {
        name: "test-labels.u8",
        contentSha256: "ea4b03a0c02ac5bd1ac431edbc1b612136d74840bb1c1d883b7ae56984a53356",
      },
    ],
  },
  eurosat: {
    folder: "eurosat-64",
    source: "https://github.com/phelber/EuroSAT (a balanced part, packed as strips of 500)",
    instead: packed(
      "eurosat-64",
      "Or clone https://github.com/YongKyeom/cv-hw3-eurosat-detectron and train with --data-set folder --data cv-hw3-eurosat-detectron/data/EuroSAT/2750.",
    ),
    files: [
      {
        name: "train-0.png",
        contentSha256: "1df97b4f98cb035a605eedf32a5ed114cd63784b3c842598663dbb3462671e23",
      },
      {
        name: "train-1.png",
        contentSha256: "a6e0b9ef01ae37b7102fa724b47cb1695d3b25e57e1b824a76ddce6a7d34000c",
      },
      {
        name: "train-labels.u8",
        contentSha256: "76908984791a84e3c1cc94f59998e8959a054428ca3e0a02f19949d862d9fed3",
      },
      {
        name: "test-0.png",
        contentSha256: "e10dd9cc620dd909f238b22eea6633ebcdf1665fcae98cf7b98964333057d3c2",
      },
      {
        name: "test-labels.u8",
        contentSha256: "a022e56b535ec7cbc334dc9be618d138b11857aa6db042d11b48021ff2b21ae4",
      },
    ],
  },
  emoji: {
    folder: "noto-emoji-72",
    source: "https://github.com/googlefonts/noto-emoji (png/72, packed as strips of 500 with labels.tsv)",
    instead: packed(
      "noto-emoji-72",
      "The single pictures are at https://github.com/googlefonts/noto-emoji, png/72.",
    ),
    files: [
      {
        name: "labels.tsv",
        contentSha256: "53ff5b690b89ea2743f867887b5509f0f4247c816d5881321063c6c43e1fddcc",
      },
      {
        name: "emoji-0.png",
        contentSha256: "beeda9aeda2f36b51b80a840d14c6c3d22ec44a778417ae4c217866aa309500a",
      },
      {
        name: "emoji-1.png",
        contentSha256: "b445cf3bd36775706931218cb2da65d17385b323279b33f1e568629c9593ff00",
      },
      {
        name: "emoji-2.png",
        contentSha256: "31f581e8db4029948bed006fc60ef510df7873e0a098c967d141381788a510ec",
      },
      {
        name: "emoji-3.png",
        contentSha256: "c31da931b2df68a60b42c28c3153641cd2d45f73fa3fd65374a4228d17889004",
      },
    ],
  },
} as const satisfies Readonly<Record<string, DataHome>>;
