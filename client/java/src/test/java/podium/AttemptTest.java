package podium;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import podium.v1.ArmFinished;
import podium.v1.ArmResult;
import podium.v1.ArmStarted;
import podium.v1.ArmStatus;
import podium.v1.EvalResult;
import podium.v1.ListSeriesRequest;
import podium.v1.ResultsServiceGrpc;
import podium.v1.RunConfig;

/** Attempts against a real server. */
class AttemptTest {
  private static final RunConfig CONFIG = RunConfig.newBuilder().setName("lora").build();

  private Client client;
  private ExperimentHandle experiment;

  @BeforeEach
  void declare() {
    client = TestServer.client();
    experiment = client.experiment(TestServer.newExperiment());
    experiment.declare();
  }

  @AfterEach
  void close() {
    client.close();
  }

  private ArmResult arm() {
    return experiment.arm("lora").get().message();
  }

  private static ArmStarted.Builder order(long order) {
    var options = ArmStarted.newBuilder();
    options.getAttemptBuilder().setOrder(order);
    return options;
  }

  private static EvalResult row(long step) {
    return EvalResult.newBuilder().setName("val").setStep(step).putMetrics("acc", 0.25).build();
  }

  private void assertEnd(ArmStatus status, String error) {
    assertEquals(status, arm().getStatus());
    assertEquals(error, arm().getError());
  }

  /** An attempt records metrics with and without a step, rows and its end. */
  @Test
  void anAttemptIsRecorded() {
    ArmRun run = experiment.startArm(CONFIG);
    run.log(Map.of("loss", 0.5), 100);
    run.log(Map.of("tokens", 7.0));
    run.logEval(row(100));
    assertEquals(ArmStatus.ARM_STATUS_RUNNING, run.arm().get().message().getStatus());
    var end = ArmFinished.newBuilder().setStatus(ArmStatus.ARM_STATUS_COMPLETED);
    run.finish(end.setTrainSeconds(1.5).build());

    ArmResult arm = arm();
    assertEquals(ArmStatus.ARM_STATUS_COMPLETED, arm.getStatus());
    assertEquals(Map.of("loss", 0.5, "tokens", 7.0), arm.getMetricsMap());
    assertEquals(1.5, arm.getTrainSeconds());
    assertEquals(0.25, arm.getEvals(0).getMetricsOrThrow("acc"));
    assertEquals(run.attemptId(), arm.getAttempt().getId());
    var request =
        ListSeriesRequest.newBuilder().setExperiment(experiment.name()).setArm("lora").build();
    var series = client.call(ResultsServiceGrpc.getListSeriesMethod(), request).getSeriesList();
    assertEquals(1, series.size());
    assertEquals(List.of(100L), series.get(0).getStepsList());
  }

  /** A second attempt continues after a step or from the beginning, and the first is stale then. */
  @Test
  void attemptsFollowEachOther() {
    ArmRun first = experiment.startArm(CONFIG, order(1).build());
    first.logEval(row(0));
    first.logEval(row(100));
    ArmRun second = experiment.startArm(CONFIG, order(2).setResumeStep(50).build());
    var error =
        assertThrows(PodiumException.FailedPrecondition.class, () -> first.logEval(row(200)));
    assertEquals("STALE_ATTEMPT", error.reason());
    assertEquals(1, arm().getEvalsCount());
    second.finish();
    experiment.startArm(CONFIG, order(3).setRestart(true).build());
    assertEquals(0, arm().getEvalsCount());
  }

  /** After a call that was refused the attempt goes on, and threads that share it do not collide. */
  @Test
  void anAttemptGoesOn() throws InterruptedException {
    ArmRun run = experiment.startArm(CONFIG);
    var nameless = EvalResult.getDefaultInstance();
    assertThrows(PodiumException.InvalidArgument.class, () -> run.logEval(nameless));
    List<Thread> threads = new ArrayList<>();
    for (long thread = 0; thread < 4; thread++) {
      long first = 5 * thread;
      threads.add(
          new Thread(
              () -> {
                for (long step = first; step < first + 5; step++) {
                  run.logEval(row(step));
                }
              }));
    }
    threads.forEach(Thread::start);
    for (Thread thread : threads) {
      thread.join();
    }
    assertEquals(20, arm().getEvalsCount());
  }

  /** A block completes its arm, unless it has recorded another end. */
  @Test
  void blocksThatReturn() {
    experiment.runArm(CONFIG, order(1).build(), run -> run.log(Map.of("loss", 0.5)));
    assertEnd(ArmStatus.ARM_STATUS_COMPLETED, "");
    var again = order(2).setRestart(true).build();
    experiment.runArm(CONFIG, again, run -> run.finish(ArmStatus.ARM_STATUS_CANCELLED));
    assertEnd(ArmStatus.ARM_STATUS_CANCELLED, "");
  }

  /** A block that throws fails its arm, and the exception goes on. */
  @Test
  void blocksThatThrow() {
    ArmRun.Training<Exception> fails =
        run -> {
          throw new Exception("out of memory");
        };
    var options = order(1).build();
    assertThrows(Exception.class, () -> experiment.runArm(CONFIG, options, fails));
    assertEnd(ArmStatus.ARM_STATUS_FAILED, "java.lang.Exception: out of memory");
  }

  /** A block whose thread is interrupted records that its arm was cancelled. */
  @Test
  void blocksThatAreInterrupted() {
    ArmRun.Training<RuntimeException> isInterrupted =
        run -> {
          Thread.currentThread().interrupt();
          // A response that is already there is returned.
          while (true) {
            run.log(Map.of("loss", 0.5));
          }
        };
    var options = order(1).build();
    assertThrows(
        PodiumException.class, () -> experiment.runArm(CONFIG, options, isInterrupted));
    assertTrue(Thread.interrupted());
    assertEquals(ArmStatus.ARM_STATUS_CANCELLED, arm().getStatus());
  }

  /** An attempt that has no end when its try is left is failed; one with an end keeps it. */
  @Test
  void attemptsAreClosed() {
    try (ArmRun run = experiment.startArm(CONFIG, order(1).build())) {
      run.log(Map.of("loss", 0.5));
    }
    assertEnd(ArmStatus.ARM_STATUS_FAILED, "the training ended without finish()");
    try (ArmRun run = experiment.startArm(CONFIG, order(2).build())) {
      run.finish();
    }
    assertEnd(ArmStatus.ARM_STATUS_COMPLETED, "");
  }
}
