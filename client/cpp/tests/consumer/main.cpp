// A program of somebody else's, with the installed package.
#include <podium/podium.h>

int main() {
  podium::v1::ArmResult arm;
  (*arm.mutable_metrics())["loss"] = 0.5;
  const podium::Client client("localhost:1");
  return podium::score(arm, "loss") == 0.5 && client.arm("e", arm.name()).experiment() == "e" ? 0 : 1;
}
