/** See oci-image.mjs. */
export interface PackedLayer {
  readonly mediaType: string;
  readonly diffId: string;
  readonly digest: string;
  readonly size: number;
  readonly file: string;
}

export function createOciImage(image: {
  readonly name: string;
  readonly rootfs?: string;
  readonly layers?: readonly PackedLayer[];
  readonly config?: Readonly<Record<string, unknown>>;
  readonly architecture?: string;
  readonly output: string;
}): Promise<string>;

export function packLayer(folder: string, cache: string): Promise<PackedLayer>;
