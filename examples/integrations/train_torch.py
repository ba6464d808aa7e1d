"""Trains with a plain PyTorch loop and records it. Start a server first: `podium serve`."""

import podium
import torch

torch.manual_seed(7)
rows = torch.randn(300, 2)
labels = (rows[:, :1] * rows[:, 1:] > 0).float()
train, val = slice(0, 200), slice(200, 300)

model = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
loss_of = torch.nn.BCEWithLogitsLoss()
config = podium.RunConfig("width16", seed=7, extras={"lr": 0.05, "width": 16})

experiment = podium.record("integrations/torch", success_metric="val.accuracy")
with experiment, experiment.start_arm(config, restart=True) as arm:
    for step in range(1, 61):
        loss = loss_of(model(rows[train]), labels[train])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        arm.log({"loss": loss}, step=step)
        if step % 20 == 0:
            accuracy = ((model(rows[val]) > 0) == labels[val]).float().mean()
            arm.log_eval("val", {"accuracy": accuracy}, step=step)
    arm.log_eval("val", {"accuracy": accuracy}, tags=["test"])
