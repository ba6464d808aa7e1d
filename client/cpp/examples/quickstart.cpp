// Trains an arm and asks about it, at the server that PODIUM_ADDRESS names.
#include <podium/podium.h>

#include <iostream>

podium::v1::EvalResult eval_row(const std::string& name, double pass_rate) {
  podium::v1::EvalResult row;
  row.set_name(name);
  (*row.mutable_metrics())["pass_rate"] = pass_rate;
  return row;
}

void train(const podium::ArmRun& run) {
  run.log({{"loss", 0.31}}, 100);  // at step 100
  podium::v1::EvalResult val = eval_row("val", 0.52);
  val.set_step(100);
  run.log_eval(val);
  run.log_eval(eval_row("test", 0.61));  // after training: no step
}

int main() {
  podium::Client client;  // of the server that PODIUM_ADDRESS names, or of localhost:50051

  podium::Experiment experiment = client.experiment("cpp_quickstart");
  podium::v1::ExperimentDeclared declared;
  declared.set_success_metric("test.pass_rate");
  experiment.declare(declared);
  podium::v1::RunConfig run_config;
  run_config.set_name("lora_rank4");
  podium::v1::ArmStarted options;
  options.set_restart(true);                         // even if an earlier attempt has completed
  experiment.run_arm(run_config, options, train);    // completed at the end; failed if it throws

  podium::Arm arm = client.arm("cpp_quickstart", "lora_rank4");                    // a handle; no call yet
  std::optional<podium::v1::EvalResult> row = arm.eval("val", 100);                // the row at exactly step 100
  std::cout << "val at 100: " << row->metrics().at("pass_rate") << "\n";           // val at 100: 0.52
  std::cout << "val at 99: " << arm.eval("val", 99).has_value() << "\n";           // val at 99: 0
  std::optional<double> score = arm.score("test.pass_rate");                       // empty if there is none
  std::cout << "test: " << score.value() << "\n";                                  // test: 0.61

  podium::v1::ArmResult snapshot = arm.get();                                      // the whole arm in one state:
  std::cout << "val: " << podium::score(snapshot, "val.pass_rate").value() << "\n";  // the same questions, no calls

  podium::v1::RankResponse best = experiment.rank({}, 3);
  for (const podium::v1::RankedArm& ranked : best.arms()) {
    std::cout << ranked.rank() << ". " << ranked.arm() << ": " << ranked.score() << "\n";
  }

  try {
    row = client.arm("cpp_quickstart", "lora_rank5").eval("val");
  } catch (const podium::Error& error) {
    std::cout << error.code_name() << " " << error.reason() << "\n";               // NOT_FOUND ARM_NOT_FOUND
  }
}
