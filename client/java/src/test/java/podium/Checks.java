package podium;

import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import podium.v1.ArmResult;
import podium.v1.EvalResult;

/**
 * Holds what was found against what was expected. Messages compare doubles by their bits, every NaN
 * as NaN, and maps in any order.
 */
final class Checks {
  private Checks() {}

  static void equal(Object expected, Object found, Object where) {
    if (!expected.equals(found)) {
      throw new AssertionError(where + ": " + found + " instead of " + expected);
    }
  }

  /** An arm without what only the server sets. */
  static ArmResult bare(ArmResult arm) {
    var bare =
        arm.toBuilder()
            .clearExperiment()
            .clearRevision()
            .clearCreateTime()
            .clearUpdateTime()
            .clearAttempt()
            .clearEvals();
    arm.getEvalsList().forEach(row -> bare.addEvals(bare(row)));
    return bare.build();
  }

  /** A row without what only the server sets. */
  static EvalResult bare(EvalResult row) {
    return row.toBuilder().clearRevision().clearEventTime().clearRecordTime().build();
  }

  /** A message with one of its fields only. */
  static Message only(Message message, FieldDescriptor field) {
    var builder = message.newBuilderForType();
    if (field.isRepeated() || message.hasField(field)) {
      builder.setField(field, message.getField(field));
    }
    return builder.build();
  }
}
