/** See oci-image.mjs. */
export function createOciImage(image: {
  readonly name: string;
  readonly rootfs: string;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly architecture?: string;
  readonly output: string;
}): Promise<string>;
