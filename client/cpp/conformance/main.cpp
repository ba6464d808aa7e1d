// Holds the client against the vectors of tests/vectors, over the wire and by itself.
//
// `conformance PLAN`: see tests/conformance/README.md. It prints one JSON object a line and exits 0
// when it ran to its end, whatever disagreed.
#include <exception>
#include <functional>
#include <iostream>

#include "cases.h"

namespace conformance {
namespace {

void report(const std::string& file, const std::string& way, const std::string& name,
            const std::function<Verdict()>& go) {
  Verdict wrong;
  try {
    wrong = go();
  } catch (const std::exception& error) {
    wrong = error.what();
  }
  std::cout << R"({"file": )" << quoted(file) << R"(, "way": )" << quoted(way) << R"(, "case": )" << quoted(name)
            << R"(, "ok": )" << (wrong ? "false" : "true") << R"(, "detail": )" << quoted(wrong.value_or("")) << "}"
            << std::endl;
}

/// A name that no other case of this run has.
std::string experiment_name() {
  static int cases = 0;
  return "conformance/cpp/" + std::to_string(++cases);
}

void exchange(const podium::Client& client, const Json& entry) {
  const std::string& way = entry.at("exchange").text;
  const podium::Experiment experiment = client.experiment(entry.at("experiment").text);
  const Json& arm = entry.at("arm");
  report("exchange", way, experiment.name() + "/" + arm.at("name").text,
         [&] { return way == "write" ? exchange_write(experiment, arm) : exchange_read(experiment, arm); });
}

void vectors(const podium::Client& client, const std::string& path) {
  const std::string file = path.substr(path.rfind('/') + 1);
  const Json content = Json::file(path);
  for (const Json& vector : content.list("cases")) {
    const std::string& name = vector.at("name").text;
    const podium::Experiment experiment = client.experiment(experiment_name());
    if (file.rfind("reads", 0) == 0) {
      report(file, "wire", name, [&] { return read_over_the_wire(experiment, vector); });
      report(file, "pure", name, [&] { return read_purely(vector); });
    } else if (file.rfind("rank", 0) == 0) {
      report(file, "wire", name, [&] { return rank(experiment, vector); });
    } else {
      report(file, "wire", name, [&] { return write(client.calls(), experiment.name(), vector); });
    }
  }
}

}  // namespace
}  // namespace conformance

int main(int count, char** arguments) {
  if (count != 2) {
    std::cerr << "usage: conformance PLAN\n";
    return 2;
  }
  try {
    const auto plan = conformance::Json::file(arguments[1]);
    for (const auto& entry : plan.items) {
      const podium::Client client(entry.at("address").text);
      if (entry.find("exchange") != nullptr) {
        conformance::exchange(client, entry);
      } else {
        conformance::vectors(client, entry.at("file").text);
      }
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
