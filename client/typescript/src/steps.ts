/**
 * A step as the protocol has it. A number is taken where it is exact; a bigint has all 64 bits.
 *
 * @throws RangeError It is no integer of 64 bits, or a number beyond 2^53, which may be rounded.
 */
export function toStep(step: bigint | number): bigint {
  if (typeof step === "number" && !Number.isSafeInteger(step)) {
    throw new RangeError(`a step is an integer, and a bigint beyond 2^53, not ${step}`);
  }
  const exact = BigInt(step);
  if (BigInt.asIntN(64, exact) !== exact) {
    throw new RangeError(`a step has 64 bits: ${step} is out of range`);
  }
  return exact;
}
