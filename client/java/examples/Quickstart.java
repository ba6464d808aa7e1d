import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import podium.ArmHandle;
import podium.ArmSnapshot;
import podium.Client;
import podium.Events;
import podium.ExperimentHandle;
import podium.PodiumException;
import podium.Values;
import podium.v1.ArmResult;
import podium.v1.ArmStatus;
import podium.v1.EvalResult;
import podium.v1.ExperimentDeclared;
import podium.v1.RankedArm;
import podium.v1.RunConfig;

/** Records an arm and asks about it, at the server that PODIUM_ADDRESS names. */
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
    var config = RunConfig.newBuilder().setName("lora_rank4").putExtras("lora_rank", Values.of(4));
    var arm =
        ArmResult.newBuilder()
            .setName("lora_rank4")
            .setRunConfig(config)
            .setStatus(ArmStatus.ARM_STATUS_RUNNING);
    var val = EvalResult.newBuilder().setName("val").setStep(100).putMetrics("pass_rate", 0.52);
    var test =
        EvalResult.newBuilder().setName("test").addTags("test").putMetrics("pass_rate", 0.61);
    experiment.record( // all of them or none
        Events.declared(metric.build()),
        Events.recorded(arm.build()),
        Events.metrics("lora_rank4", Map.of("loss", 0.31)),
        Events.eval("lora_rank4", val.build()),
        Events.eval("lora_rank4", test.build()),
        Events.finished("lora_rank4", ArmStatus.ARM_STATUS_COMPLETED));
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
