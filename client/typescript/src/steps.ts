/**
 * Returns a step as the protocol has it, from an exact number or a bigint.
 *
 * @throws RangeError The step is not an integer of 64 bits, or it is a number over 2^53, which may be
 *   rounded.
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
