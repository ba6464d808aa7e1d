/** Numbers and texts in the binary form of protobuf. */

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Reads bytes from the front. */
export class Reader {
  #at = 0;
  readonly #view: DataView;

  constructor(private readonly all: Uint8Array) {
    this.#view = new DataView(all.buffer, all.byteOffset, all.byteLength);
  }

  get isAtEnd(): boolean {
    return this.#at >= this.all.length;
  }

  /** The number of bytes that are read. */
  get at(): number {
    return this.#at;
  }

  /** A number of up to 32 bits. */
  uint32(): number {
    return Number(this.int64()) >>> 0;
  }

  /** A number of up to 64 bits. Up to 49 bits are read as a `number`, which is much faster. */
  int64(): bigint | number {
    let low = 0;
    for (let scale = 1; scale < 2 ** 49; scale *= 128) {
      const byte = this.#view.getUint8(this.#at++);
      low += (byte & 127) * scale;
      if (byte < 128) {
        return low;
      }
    }
    return BigInt.asIntN(64, this.#rest(low));
  }

  double(): number {
    this.#at += 8;
    return this.#view.getFloat64(this.#at - 8, true);
  }

  /** Reads a length. Returns where the bytes of that length end. */
  end(): number {
    const length = this.uint32();
    if (this.#at + length > this.all.length) {
      throw new RangeError("a message ends too early");
    }
    return this.#at + length;
  }

  bytes(): Uint8Array {
    const end = this.end();
    const found = this.all.subarray(this.#at, end);
    this.#at = end;
    return found;
  }

  string(): string {
    return decoder.decode(this.bytes());
  }

  /** Passes over a value of a wire type. */
  skip(wireType: number): void {
    switch (wireType) {
      case 0: this.int64(); break;
      case 1: this.#at += 8; break;
      case 2: this.bytes(); break;
      case 5: this.#at += 4; break;
      default: throw new RangeError(`unknown wire type ${wireType}`);
    }
  }

  /** The bytes that are left of a number after its first seven, which hold 49 bits. */
  #rest(low: number): bigint {
    let [found, scale] = [BigInt(low), 1n << 49n];
    for (; ; scale <<= 7n) {
      const byte = this.#view.getUint8(this.#at++);
      found += BigInt(byte & 127) * scale;
      if (byte < 128) {
        return found;
      }
    }
  }
}

/** Collects bytes. */
export class Writer {
  readonly #bytes: number[] = [];

  tag(number: number, wireType: number): this {
    this.int64(BigInt((number << 3) | wireType));
    return this;
  }

  int64(value: bigint): void {
    let left = BigInt.asUintN(64, value);
    for (; left > 127n; left >>= 7n) {
      this.#bytes.push(Number(left & 127n) | 128);
    }
    this.#bytes.push(Number(left));
  }

  double(value: number): void {
    this.#bytes.push(...new Uint8Array(new Float64Array([value]).buffer));
  }

  bytesOf(value: Uint8Array): void {
    this.int64(BigInt(value.length));
    value.forEach((byte) => this.#bytes.push(byte));
  }

  bytes(): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(this.#bytes);
  }
}
