import ArgumentParser
import MeshSimulator

extension Preset: ExpressibleByArgument {
  /// What the help shows beside the name.
  public var defaultValueDescription: String { summary }
}
