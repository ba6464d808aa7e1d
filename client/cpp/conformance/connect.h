/// Calls over HTTP in the protocol Connect.
#pragma once

#include <google/protobuf/message.h>

#include <memory>
#include <string>

/// Returns the response to a call, made as JSON or in binary with the generated messages. Throws its podium::Error.
std::unique_ptr<google::protobuf::Message> call_connect(const std::string& address, bool is_json,
                                                        const std::string& call, const std::string& request);
