"""The car's side without the Unity program: a world, and a client that speaks to drive servers as Unity does."""
