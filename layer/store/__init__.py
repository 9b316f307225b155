"""Objects, trees and deployments; the only room that knows libostree."""
