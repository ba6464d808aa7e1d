import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import podium.ArmHandle;
import podium.ArmResult;
import podium.Client;
import podium.Events;
import podium.PodiumException;
import podium.Values;
import podium.v1.ArmStatus;
import podium.v1.EvalResult;
import podium.v1.ExperimentDeclared;
import podium.v1.RankedArm;
import podium.v1.RunConfig;

/** Records an arm and asks for its results. */
public class Quickstart {
  public static void main(String[] arguments) {
    try (Client client = Client.connect()) { // PODIUM_ADDRESS, or localhost:50051
      record(client);
      ask(client);
    }
  }

  private static void record(Client client) {
    client.record(
        "java_quickstart",
        Events.declared(ExperimentDeclared.newBuilder().setSuccessMetric("test.pass_rate").build()),
        Events.recorded(
            podium.v1.ArmResult.newBuilder()
                .setName("lora_rank4")
                .setRunConfig(
                    RunConfig.newBuilder()
                        .setName("lora_rank4")
                        .setSeed(0)
                        .putExtras("lora_rank", Values.of(4)))
                .setStatus(ArmStatus.ARM_STATUS_RUNNING)
                .build()),
        Events.metrics("lora_rank4", Map.of("loss", 0.31)));
    for (long step = 0; step <= 100; step += 50) {
      client.record("java_quickstart", Events.eval("lora_rank4", val(step)));
    }
    var test =
        EvalResult.newBuilder().setName("test").addTags("test").putMetrics("pass_rate", 0.72);
    client.record(
        "java_quickstart",
        Events.eval("lora_rank4", test.build()),
        Events.finished("lora_rank4", ArmStatus.ARM_STATUS_COMPLETED));
  }

  private static EvalResult val(long step) {
    return EvalResult.newBuilder()
        .setName("val")
        .setStep(step)
        .putMetrics("pass_rate", 0.5 + step / 1000.0)
        .build();
  }

  private static void ask(Client client) {
    ArmHandle arm = client.arm("java_quickstart", "lora_rank4");
    Optional<EvalResult> latest = arm.eval("val");
    Optional<EvalResult> never = arm.eval("val", 7);
    OptionalDouble score = arm.score("test.pass_rate");
    System.out.println("val at step " + latest.orElseThrow().getStep());
    System.out.println("val at step 7: " + never.isPresent());
    System.out.println("score: " + score.getAsDouble());

    ArmResult held = arm.get(); // answers the same questions, and asks no server
    System.out.println("held: " + held.score("val.pass_rate").getAsDouble());

    for (RankedArm ranked : client.rank("java_quickstart")) {
      System.out.println(ranked.getRank() + ". " + ranked.getArm() + " " + ranked.getScore());
    }
    try {
      client.arm("java_quickstart", "lora_rank5").eval("val");
    } catch (PodiumException.NotFound error) {
      System.out.println(error.reason() + ": " + error.getMessage());
    }
  }
}
