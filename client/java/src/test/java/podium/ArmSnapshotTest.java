package podium;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.grpc.Status;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import org.junit.jupiter.api.Test;
import podium.v1.EvalResult;
import podium.v1.ScoreOrigin;

/** An arm that is held answers without a server. */
class ArmSnapshotTest {
  private static final EvalResult FIRST = row("val", 0.4).setStep(0).build();
  private static final EvalResult LAST = row("val", 0.5).setStep(100).build();
  private static final EvalResult TEST = row("test", 0.7).addTags("test").setEvalSeconds(2).build();

  private static final ArmSnapshot ARM =
      ArmSnapshot.of(
          podium.v1.ArmResult.newBuilder()
              .setName("a")
              .putMetrics("loss", Double.NaN)
              .addEvals(FIRST)
              .addEvals(LAST)
              .addEvals(TEST)
              .build());

  private static EvalResult.Builder row(String name, double accuracy) {
    return EvalResult.newBuilder().setName(name).putMetrics("acc", accuracy);
  }

  /** Without a step the last row answers; with one only the row at that step. */
  @Test
  void evals() {
    assertEquals(Optional.of(LAST), ARM.eval("val"));
    assertEquals(Optional.of(FIRST), ARM.eval("val", 0));
    assertEquals(Optional.empty(), ARM.eval("val", 50));
    assertEquals(Optional.of(TEST), ARM.eval("test"));
    assertEquals(Optional.empty(), ARM.eval("test", 0));
    assertEquals(Optional.empty(), ARM.eval("other"));
  }

  /** A bare metric is the primary eval's, else the training's; a dot names an eval. */
  @Test
  void scores() {
    assertEquals(OptionalDouble.of(0.7), ARM.score("acc"));
    assertEquals(OptionalDouble.of(0.5), ARM.score("val.acc"));
    assertEquals(OptionalDouble.of(Double.NaN), ARM.score("loss"));
    assertEquals(OptionalDouble.empty(), ARM.score("val.loss"));
    Score found = ARM.findScore("val.acc").orElseThrow();
    assertEquals(ScoreOrigin.SCORE_ORIGIN_IN_LOOP_EVAL, found.source().getOrigin());
    assertEquals(100, found.source().getStep());
  }

  /** What was not given reads as the primary eval's. */
  @Test
  void mirrors() {
    assertEquals(Optional.of(TEST), ARM.primaryEval());
    assertEquals(Map.of("acc", 0.7), ARM.evalMetrics());
    assertEquals(Map.of(), ARM.evalBreakdowns());
    assertEquals(OptionalDouble.of(2), ARM.evalSeconds());
    var given = ArmSnapshot.of(ARM.message().toBuilder().setEvalSeconds(0).build());
    assertEquals(OptionalDouble.of(0), given.evalSeconds());
    assertEquals(
        OptionalDouble.empty(),
        ArmSnapshot.of(podium.v1.ArmResult.getDefaultInstance()).evalSeconds());
  }

  /** An empty metric is an error here as it is on a server. */
  @Test
  void anEmptyMetric() {
    var error = assertThrows(PodiumException.InvalidArgument.class, () -> ARM.score(""));
    assertEquals(Status.Code.INVALID_ARGUMENT, error.code());
    assertEquals("NAME_INVALID", error.reason());
  }

  /** Two arms that say the same are equal. */
  @Test
  void equality() {
    assertEquals(ARM, ArmSnapshot.of(ARM.message().toBuilder().build()));
    assertEquals(ARM.hashCode(), ArmSnapshot.of(ARM.message().toBuilder().build()).hashCode());
    assertEquals("ArmSnapshot(a, ARM_STATUS_UNSPECIFIED, 3 evals)", ARM.toString());
  }

  /** Values keep their types: an integer is no double. */
  @Test
  void values() {
    var value = Values.of(Map.of("rank", 4, "rate", 0.5, "layers", List.of("q", true)));
    var entries = value.getMapValue().getEntriesMap();
    assertEquals(4, entries.get("rank").getIntValue());
    assertEquals(0.5, entries.get("rate").getDoubleValue());
    assertEquals("q", entries.get("layers").getListValue().getValues(0).getStringValue());
    assertEquals(true, entries.get("layers").getListValue().getValues(1).getBoolValue());
    assertEquals(true, Values.of(null).hasNullValue());
    assertThrows(IllegalArgumentException.class, () -> Values.of(new Object()));
    assertThrows(IllegalArgumentException.class, () -> Values.of(Map.of(1, 2)));
  }
}
