import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import podium.ArmHandle;
import podium.ArmRun;
import podium.ArmSnapshot;
import podium.Client;
import podium.ExperimentHandle;
import podium.PodiumException;
import podium.Values;
import podium.v1.ArmStarted;
import podium.v1.EvalResult;
import podium.v1.ExperimentDeclared;
import podium.v1.RankedArm;
import podium.v1.RunConfig;

/** Trains an arm and asks about it, at the server that PODIUM_ADDRESS names. */
public class Quickstart {
  public static void main(String[] arguments) {
    try (Client client = Client.connect()) { // without PODIUM_ADDRESS: localhost:50051
      ExperimentHandle experiment = client.experiment("java_quickstart");
      record(experiment);
      ArmHandle arm = client.arm("java_quickstart", "lora_rank4"); // a handle; no call yet
      ask(arm);
      for (RankedArm ranked : experiment.rank().getArmsList()) {
        System.out.println(ranked.getRank() + ". " + ranked.getArm()); // 1. lora_rank4
      }
      try {
        experiment.arm("lora_rank5").eval("val");
      } catch (PodiumException.NotFound error) {
        System.out.println(error.reason()); // ARM_NOT_FOUND
      }
    }
  }

  static void record(ExperimentHandle experiment) {
    var metric = ExperimentDeclared.newBuilder().setSuccessMetric("test.pass_rate");
    experiment.declare(metric.build());
    var config = RunConfig.newBuilder().setName("lora_rank4").putExtras("lora_rank", Values.of(4));
    var options = ArmStarted.newBuilder().setRestart(true); // even if an earlier attempt completed
    experiment.runArm(config.build(), options.build(), Quickstart::train);
  }

  /** The arm is completed at the end, and failed by an exception. */
  static void train(ArmRun run) {
    run.log(Map.of("loss", 0.31), 100); // at step 100
    run.logEval(row("val").setStep(100).putMetrics("pass_rate", 0.52).build());
    run.logEval(row("test").putMetrics("pass_rate", 0.61).build()); // after training: no step
  }

  static EvalResult.Builder row(String name) {
    return EvalResult.newBuilder().setName(name);
  }

  static void ask(ArmHandle arm) {
    Optional<EvalResult> row = arm.eval("val", 100); // the row at exactly step 100
    OptionalDouble score = arm.score("test.pass_rate"); // NaN is a score; empty is none
    System.out.println(row.isPresent() + " " + score.getAsDouble()); // true 0.61

    ArmSnapshot snapshot = arm.get(); // the whole arm, as it was at one moment
    System.out.println(snapshot.eval("val", 99).isPresent()); // false: the same questions, no calls
    System.out.println(snapshot.score("loss").getAsDouble()); // 0.31
  }
}
