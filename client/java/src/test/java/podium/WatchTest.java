package podium;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import java.util.ArrayList;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import podium.v1.ArmResult;
import podium.v1.ArmStatus;
import podium.v1.EvalResult;
import podium.v1.RunConfig;
import podium.v1.WatchRequest;
import podium.v1.WatchResponse;

/** Watches of a real server. What follows an interruption is in tests/conformance. */
@Timeout(300)
class WatchTest {
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

  private static EvalResult row(long step) {
    return EvalResult.newBuilder().setName("val").setStep(step).putMetrics("acc", 0.5).build();
  }

  private static RunConfig config(String name) {
    return RunConfig.newBuilder().setName(name).build();
  }

  /** A watch yields the state, then each change, and at last that the experiment was deleted. */
  @Test
  void eachChangeIsYielded() {
    var arm =
        ArmResult.newBuilder().setName("a").setStatus(ArmStatus.ARM_STATUS_COMPLETED).addEvals(row(1));
    arm.getRunConfigBuilder().setName("a");
    experiment.recordArm(arm.build());
    List<List<Integer>> found = new ArrayList<>();
    try (Watch watch = experiment.watch()) {
      WatchResponse update = watch.next();
      found.add(List.of(update.getArmsCount(), update.getEvalsCount()));
      experiment.record(Events.eval("a", row(2)));
      update = watch.next();
      found.add(List.of(update.getArmsCount(), update.getEvalsCount()));
      experiment.delete(false);
      assertTrue(watch.next().getDeleted());
      assertFalse(watch.hasNext());
      assertThrows(NoSuchElementException.class, watch::next);
    }
    assertEquals(List.of(List.of(1, 1), List.of(1, 1)), found);
  }

  /** A watch that begins after a marker yields later changes only. */
  @Test
  void aWatchBeginsAfterAMarker() {
    experiment.startArm(config("a"));
    WatchResponse first;
    try (Watch watch = experiment.watch()) {
      first = watch.next();
    }
    experiment.startArm(config("b"));
    var request =
        WatchRequest.newBuilder()
            .setAfterRevision(first.getMarker().getRevision())
            .setEpoch(first.getMarker().getEpoch());
    try (Watch watch = experiment.watch(request.build())) {
      WatchResponse update = watch.next();
      assertEquals(1, update.getArmsCount());
      assertEquals("b", update.getArms(0).getArm().getName());
    }
  }

  /** An experiment that does not exist is an error, and it ends the watch. */
  @Test
  void aMissingExperiment() {
    try (Watch watch = client.experiment("missing").watch()) {
      assertThrows(PodiumException.NotFound.class, watch::hasNext);
      assertFalse(watch.hasNext());
    }
  }

  /** Another thread ends a watch by closing it, and no other call of the client. */
  @Test
  void watchesAreClosed() {
    Watch watch = experiment.watch();
    try (Watch other = experiment.watch()) {
      watch.next();
      other.next();
      var ended = CompletableFuture.supplyAsync(watch::hasNext);
      watch.close();
      assertFalse(ended.orTimeout(120, TimeUnit.SECONDS).join());
      experiment.startArm(config("b"));
      assertEquals(1, other.next().getArmsCount());
    }
  }

  /** A thread that is interrupted waits no longer for an update, and stays interrupted. */
  @Test
  void interruption() throws InterruptedException {
    var failed = new CompletableFuture<Status.Code>();
    try (Watch watch = experiment.watch()) {
      watch.next();
      var waiting =
          new Thread(
              () -> {
                var error = assertThrows(PodiumException.class, watch::hasNext);
                failed.complete(Thread.interrupted() ? error.code() : Status.Code.OK);
              });
      waiting.start();
      waiting.interrupt();
      assertEquals(Status.Code.CANCELLED, failed.orTimeout(120, TimeUnit.SECONDS).join());
      waiting.join();
    }
  }
}
