#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace {

std::string read(const std::string& file) {
  std::ifstream stream(std::string(PODIUM_CPP) + "/" + file);
  std::ostringstream content;
  content << stream.rdbuf();
  return content.str();
}

// The README shows the example as it is run.
TEST(Readme, ShowsTheExample) {
  const std::string example = read("examples/quickstart.cpp");
  ASSERT_FALSE(example.empty());
  EXPECT_NE(read("README.md").find("```cpp\n" + example + "```\n"), std::string::npos)
      << "README.md does not show examples/quickstart.cpp";
}

}  // namespace
