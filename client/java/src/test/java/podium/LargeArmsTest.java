package podium;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import podium.v1.ArmResult;
import podium.v1.ArmStatus;
import podium.v1.EvalResult;
import podium.v1.RecordResponse;
import podium.v1.RunConfig;

/** Arms that are larger than a call allows. */
@Timeout(300)
class LargeArmsTest {
  private static final RunConfig CONFIG = RunConfig.newBuilder().setName("a").build();

  private final Client client = TestServer.client();
  private final ExperimentHandle experiment = client.experiment(TestServer.newExperiment());

  @AfterEach
  void close() {
    client.close();
  }

  private static EvalResult row(long step, double accuracy) {
    return EvalResult.newBuilder().setName("val").setStep(step).putMetrics("acc", accuracy).build();
  }

  private static ArmResult.Builder arm() {
    return ArmResult.newBuilder()
        .setName("a")
        .setRunConfig(CONFIG)
        .setStatus(ArmStatus.ARM_STATUS_COMPLETED);
  }

  /** An arm with more rows than a call carries is recorded whole, in order, and again. */
  @Test
  void aLargeArmIsRecordedInSeveralCalls() {
    experiment.declare();
    var arm = arm();
    LongStream.range(0, 12_500).forEach(step -> arm.addEvals(row(step, step)));
    arm.addEvals(EvalResult.newBuilder().setName("test").putMetrics("acc", 0.5));
    arm.addEvals(row(0, 7)); // Repeats an earlier row, which counts.
    RecordResponse response = experiment.recordArm(arm.build());
    assertEquals(5, response.getRevision());
    assertEquals(2_502, response.getChangedEvents());

    List<EvalResult> rows = experiment.arm("a").get().evals();
    assertEquals(12_501, rows.size());
    for (int step = 0; step < 12_500; step++) {
      assertEquals(step, rows.get(step).getStep());
      assertEquals(step, rows.get(step).getMetricsOrThrow("acc"));
    }
    experiment.recordArm(arm.build());
    // As the server returned it: with the fields of its primary eval.
    experiment.recordArm(experiment.arm("a").get().message());
    assertEquals(12_501, experiment.arm("a").get().evals().size());
  }

  /** A whole arm replaces one that has attempts only if that is asked for. */
  @Test
  void aWholeArmReplacesAttempts() {
    experiment.declare();
    experiment.startArm(CONFIG);
    var whole = arm().build();
    var error =
        assertThrows(
            PodiumException.FailedPrecondition.class, () -> experiment.recordArm(whole));
    assertEquals("ARM_HAS_ATTEMPTS", error.reason());
    experiment.recordArm(whole, true);
    assertEquals(ArmStatus.ARM_STATUS_COMPLETED, experiment.arm("a").get().status());
  }
}
